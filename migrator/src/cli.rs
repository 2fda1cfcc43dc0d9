//! The command line of the migrator: its arguments, with help and examples. Knows no SQL and
//! executes nothing.

pub mod completions;
mod help;
pub mod output;
pub mod progress;
pub mod prompt;
pub mod scheduled_backup;

use std::{num::NonZeroUsize, path::PathBuf, process::ExitCode, time::Duration};

use clap::{
    Args, Parser, Subcommand,
    error::{ContextKind, ErrorKind},
};
use clap_complete::Shell;
use database::settings::DatabaseUrl;
use migrator::{Generate, Run};
use process::settings::LogSettings;

use self::output::Output;
use migrator::Exit;

/// Creates, upgrades and downgrades the database of the microblog, or of any other project, and
/// writes its migrations.
///
/// Each run is one transaction: it is committed as a whole or rolled back. Several migrators
/// may run concurrently, also while the services are running.
#[derive(Parser, Debug)]
#[command(version, after_help = help::with_exit_codes())]
pub struct Settings {
    // Without a default: a project names its own database.
    #[arg(long, env, global = true, value_name = "URL", help = help::DATABASE_URL)]
    pub database_url: Option<DatabaseUrl>,

    /// Prints one JSON object instead of text, errors included.
    #[arg(long, global = true)]
    pub json: bool,

    /// The total time to wait for locks of other processes, before the command fails with
    /// exit code 75.
    #[arg(
        long,
        env,
        global = true,
        value_name = "DURATION",
        default_value = "30s",
        value_parser = process::settings::duration_or_zero
    )]
    pub lock_timeout: Duration,

    #[arg(
        long,
        env = "MIGRATOR_PROJECT",
        global = true,
        value_name = "DIRECTORY",
        help = help::PROJECT
    )]
    pub project: Option<PathBuf>,

    #[command(flatten)]
    pub backups: BackupSettings,

    #[command(flatten)]
    pub logs: LogSettings,

    #[command(subcommand)]
    pub command: Command,
}

/// The settings of backups.
#[derive(Args, Debug)]
pub struct BackupSettings {
    /// The folder of the backups. A relative path is relative to the database's folder.
    #[arg(
        long,
        env,
        global = true,
        value_name = "FOLDER",
        default_value = "backups"
    )]
    pub backup_folder: PathBuf,

    /// The number of newest backups to keep in the folder.
    #[arg(
        long = "keep",
        env = "BACKUP_KEEP",
        global = true,
        value_name = "NUMBER",
        default_value = "5"
    )]
    pub keep: NonZeroUsize,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Creates the database file with an empty history and without tables.
    ///
    /// An existing database is left unchanged. A file of another application is refused and
    /// left unchanged, too.
    #[command(after_help = help::CREATE)]
    Create,
    /// Generates the migration to the schema that the schema.sql files declare.
    ///
    /// Compares the schema that the migrations produce with the declared one, and writes an up
    /// and a down migration into the directory of the owner that changed. Both are executed on a
    /// scratch database first: up must produce the declared schema, down the previous one.
    ///
    /// A renamed column or table needs the comment `-- @renamed from=old` beside its
    /// declaration; a new one that could be mistaken for a renamed one needs `-- @added`. On a
    /// terminal the command asks instead.
    #[command(after_help = help::MIGRATE)]
    Migrate(MigrateArgs),
    /// Applies the pending migrations.
    ///
    /// Creates a missing database first, and backs up an existing one. If one migration fails,
    /// none is applied.
    #[command(after_help = help::UPGRADE)]
    Upgrade {
        /// The version to upgrade to, by default the newest.
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(0..))]
        to: Option<i64>,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Reverts the newest migration, or several.
    ///
    /// Refuses to drop a table with rows or a column with values.
    #[command(after_help = help::DOWNGRADE)]
    Downgrade {
        /// The version to downgrade to, by default the previous one; 0 reverts all.
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(0..))]
        to: Option<i64>,
        /// Downgrades even if data is lost, or if a down migration is marked as irreversible.
        #[arg(long)]
        allow_data_loss: bool,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Shows the state of each migration.
    ///
    /// The states: `applied`; `pending`, not applied yet; `out of order`, not applied although
    /// a newer one is; `changed`, the file differs from the applied one; `missing`, applied by
    /// another migrator and unknown to this one; `failed`, left unfinished by another tool.
    #[command(after_help = help::STATUS)]
    Status {
        /// Exits with 3 if a migration is pending.
        #[arg(long)]
        exit_code: bool,
    },
    /// Checks the migrations, for CI.
    ///
    /// The migrations must produce the declared schema; each must be reversible and applicable
    /// again; no lint rule may be broken; and every recorded statement must be valid on
    /// the resulting schema. If a database exists, its history must be intact, and an upgrade of
    /// a copy, with its backup, must succeed without blocking the services for too long.
    #[command(after_help = help::CHECK)]
    Check {
        /// The longest time that an upgrade may hold the write lock. Writes of the services fail
        /// if they wait longer.
        #[arg(
            long,
            value_name = "DURATION",
            default_value = "5s",
            value_parser = process::settings::duration_or_zero
        )]
        longest_wait: Duration,
    },
    /// Shows the differences between the live schema and the schema of its version.
    ///
    /// Lists each object that is missing, unexpected or different, and the DDL that would fix
    /// it. Exits with 4 if the schemas differ. With `--json`, each of `differences` has the
    /// `object`, the `expected` statement and the `actual` one; a missing one is null.
    #[command(after_help = help::DIFF)]
    Diff,
    /// Makes a verified backup while the services are running.
    ///
    /// Writes to the backup folder, which keeps the newest backups, or to the given file.
    #[command(after_help = help::BACKUP)]
    Backup {
        /// The file to write, which is never pruned.
        file: Option<PathBuf>,
        /// Makes a backup now, and the next one this long after the previous one ended, until
        /// SIGHUP, SIGINT, SIGQUIT or SIGTERM. A failed backup is reported, and the schedule continues. If the
        /// database does not exist yet, waits for it.
        #[arg(
            long,
            value_name = "DURATION",
            conflicts_with = "file",
            value_parser = process::settings::duration
        )]
        every: Option<Duration>,
    },
    /// Lists the backups in the folder.
    #[command(after_help = help::BACKUPS)]
    Backups,
    /// Replaces the contents of the database with those of a backup.
    ///
    /// The services may keep running. Verifies the backup and backs up the database first.
    #[command(after_help = help::RESTORE)]
    Restore {
        /// The backup.
        file: PathBuf,
    },
    /// Records an existing database without a history as being at a version.
    ///
    /// Refuses a database whose schema is not exactly that of the version.
    #[command(after_help = help::BASELINE)]
    Baseline {
        /// The version.
        #[arg(value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(0..))]
        version: i64,
    },
    /// Waits until the database exists and is migrated.
    #[command(after_help = help::WAIT)]
    Wait {
        /// The version to wait for, or a later one; by default the newest.
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(0..))]
        version: Option<i64>,
        /// The time to wait before the command fails with exit code 75.
        #[arg(
            long,
            value_name = "DURATION",
            default_value = "60s",
            value_parser = process::settings::duration_or_zero
        )]
        timeout: Duration,
    },
    /// Prints the schema of the database as normalised DDL.
    #[command(after_help = help::DUMP)]
    Dump,
    /// Records the services' statements as those of a release.
    ///
    /// From then on `check` rejects migrations that break one of them, since the services of
    /// that release still run while the database is upgraded.
    #[command(after_help = help::RELEASE)]
    Release,
    /// Prints the script that makes a shell complete the arguments of `migrator`.
    ///
    /// Needs neither a project nor a database.
    #[command(after_help = help::COMPLETIONS)]
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// The arguments of `migrate`.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct MigrateArgs {
    /// A short description of the migration, such as `add_bio`.
    #[arg(required_unless_present = "check")]
    pub name: Option<String>,
    /// Upgrades the database afterwards.
    #[arg(long, conflicts_with_all = ["check", "empty"])]
    pub apply: bool,
    /// Writes a pair of files without statements, to be edited by hand.
    #[arg(long, conflicts_with = "check")]
    pub empty: bool,
    /// The owner of an empty migration: a directory that holds a schema.sql, by default the first
    /// one.
    #[arg(long, value_name = "OWNER", requires = "empty")]
    pub owner: Option<String>,
    /// Writes nothing, and exits with 3 if a migration is missing.
    #[arg(long)]
    pub check: bool,
    /// Writes the migration even if it destroys data. Each such statement is marked.
    #[arg(long)]
    pub allow_data_loss: bool,
}

impl<'a> From<&'a MigrateArgs> for Generate<'a> {
    fn from(args: &'a MigrateArgs) -> Self {
        Self {
            name: args.name.as_deref().unwrap_or("check"),
            empty: args.empty,
            owner: args.owner.as_deref(),
            check: args.check,
            allow_data_loss: args.allow_data_loss,
        }
    }
}

/// The arguments that `upgrade` and `downgrade` share.
#[derive(Args, Clone, Copy, Debug)]
pub struct RunArgs {
    /// Executes the run, prints the effects of each statement, and rolls back.
    #[arg(long)]
    pub dry_run: bool,
    /// Skips the backup before the run.
    #[arg(long)]
    pub no_backup: bool,
}

impl RunArgs {
    /// Returns `run` with these arguments.
    pub fn apply_to(self, run: Run) -> Run {
        Run {
            dry_run: self.dry_run,
            no_backup: self.no_backup,
            ..run
        }
    }
}

/// The settings that the environment sets as well. An invalid value of one exits with 78, an
/// invalid command line with 2.
const SETTINGS: [&str; 7] = [
    "--database-url",
    "--project",
    "--lock-timeout",
    "--backup-folder",
    "--keep",
    "--log",
    "--log-format",
];

/// Reports a wrong command line, or prints the requested help.
pub fn usage_error(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return process::usage_error(error);
    }
    let argument = error.get(ContextKind::InvalidArg).map(ToString::to_string);
    let argument = argument.unwrap_or_default();
    let flag = argument.split(' ').next().unwrap_or_default();
    let value = matches!(
        error.kind(),
        ErrorKind::ValueValidation | ErrorKind::InvalidValue | ErrorKind::InvalidUtf8
    );
    let exit = if value && SETTINGS.contains(&flag) {
        Exit::Config
    } else {
        Exit::Usage
    };
    let output = Output {
        command: "migrator",
        json: std::env::args_os().any(|argument| argument == "--json"),
    };
    output.print_usage_error(exit, &process::usage_message(error))
}

impl Command {
    /// Returns the name on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Migrate(_) => "migrate",
            Self::Upgrade { .. } => "upgrade",
            Self::Downgrade { .. } => "downgrade",
            Self::Status { .. } => "status",
            Self::Check { .. } => "check",
            Self::Diff => "diff",
            Self::Backup { .. } => "backup",
            Self::Backups => "backups",
            Self::Restore { .. } => "restore",
            Self::Baseline { .. } => "baseline",
            Self::Wait { .. } => "wait",
            Self::Dump => "dump",
            Self::Release => "release",
            Self::Completions { .. } => "completions",
        }
    }
}
