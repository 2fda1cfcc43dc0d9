//! The command line of the migrator: what can be asked for, with help and examples.
//! Knows no SQL and does nothing.

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

/// Creates, upgrades and downgrades the database of the microblog, and writes its
/// migrations.
///
/// Each run is one transaction: it ends whole or not at all. Any number may run at once,
/// also while the services are running.
#[derive(Parser, Debug)]
#[command(version, after_help = help::with_exit_codes())]
pub struct Settings {
    /// The database file, as a URL: `sqlite:` and a path.
    #[arg(
        long,
        env,
        global = true,
        value_name = "URL",
        default_value = "sqlite:data/microblog.db"
    )]
    pub database_url: DatabaseUrl,

    /// Prints one JSON object instead of text, errors included.
    #[arg(long, global = true)]
    pub json: bool,

    /// How long to wait, in all, for other processes that use the database, before
    /// giving up with exit code 75.
    #[arg(
        long,
        env,
        global = true,
        value_name = "DURATION",
        default_value = "30s",
        value_parser = process::settings::duration_or_zero
    )]
    pub lock_timeout: Duration,

    /// The folder with both services' folders in it, to take `schema.sql` and the
    /// migrations from instead of those that were compiled in. `migrate` and `release`
    /// write there; for them it is the current folder if it is not given.
    #[arg(long, global = true, value_name = "FOLDER")]
    pub project: Option<PathBuf>,

    #[command(flatten)]
    pub backups: BackupSettings,

    #[command(flatten)]
    pub logs: LogSettings,

    #[command(subcommand)]
    pub command: Command,
}

/// Where backups go.
#[derive(Args, Debug)]
pub struct BackupSettings {
    /// The folder of the backups; a path that is not absolute is taken from the folder that
    /// the database is in.
    #[arg(
        long,
        env,
        global = true,
        value_name = "FOLDER",
        default_value = "backups"
    )]
    pub backup_folder: PathBuf,

    /// How many backups are kept in the folder: the newest.
    #[arg(
        long = "keep",
        env = "BACKUP_KEEP",
        global = true,
        value_name = "NUMBER",
        default_value = "5"
    )]
    pub keep: NonZeroUsize,
}

/// What can be asked for.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Makes the database file, with an empty history and no tables yet.
    ///
    /// A database that is there already stays as it is. A file that belongs to something
    /// else is refused and stays as it is, too.
    #[command(after_help = help::CREATE)]
    Create,
    /// Writes the migration that leads to what the services' schema.sql declare.
    ///
    /// It compares what the migrations make with what is declared, and writes a way up and a
    /// way down into the folder of the service that changed. Both are run before they are
    /// written: up gives what is declared, down gives what was before.
    ///
    /// A column or a table that got another name says so beside its declaration, by
    /// the comment `-- @renamed from=old`; one that is another than the one that went, by
    /// `-- @added`. On a terminal it is asked for instead.
    #[command(after_help = help::MIGRATE)]
    Migrate(MigrateArgs),
    /// Applies the migrations that are not applied yet.
    ///
    /// Creates the database first, if there is none, and makes a backup of one that there
    /// is. If one migration fails, none is applied.
    #[command(after_help = help::UPGRADE)]
    Upgrade {
        /// The migration to stop after, instead of the newest.
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(0..))]
        to: Option<i64>,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Undoes the newest migration, or several.
    ///
    /// What would lose data is refused: a table that has rows, a column that has values.
    #[command(after_help = help::DOWNGRADE)]
    Downgrade {
        /// The migration to go back to, instead of the last but one; 0 undoes all.
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(0..))]
        to: Option<i64>,
        /// Also if data is lost, or if the way back is marked as irreversible.
        #[arg(long)]
        allow_data_loss: bool,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Shows which migrations are applied.
    ///
    /// The states: `applied`; `pending`, not applied yet; `out of order`, not applied, and
    /// newer ones are; `changed`, its file is not what was applied; `missing`, applied by
    /// another migrator and unknown to this one; `failed`, another tool left it half done.
    #[command(after_help = help::STATUS)]
    Status {
        /// Exits with 3 if something is pending.
        #[arg(long)]
        exit_code: bool,
    },
    /// Checks the migrations, for CI.
    ///
    /// That they make what is declared; that each step can be undone and done again; that no
    /// rule of the lint is broken; that every statement of both services can be prepared on
    /// what they make; and, if there is a database, that its history is intact and that an
    /// upgrade of a copy of it, with its backup, succeeds and does not keep the services
    /// waiting for too long.
    #[command(after_help = help::CHECK)]
    Check {
        /// How long the services wait for the migrator before their writes fail.
        #[arg(
            long,
            value_name = "DURATION",
            default_value = "5s",
            value_parser = process::settings::duration_or_zero
        )]
        longest_wait: Duration,
    },
    /// Shows how the live schema differs from the one that its version should have.
    ///
    /// Lists each object that is missing, that should not be there or that is not as it should
    /// be, and then the DDL that would bring the schema back. Exits with 4 if there is a
    /// difference. With `--json`, `differences` has the `object`, the `expected` statement and
    /// the `actual` one; either is null if there is none.
    #[command(after_help = help::DIFF)]
    Diff,
    /// Makes a verified backup while the services are running.
    ///
    /// Into the folder of the backups, where the newest are kept, or as a file of its own.
    #[command(after_help = help::BACKUP)]
    Backup {
        /// The file to make, which is then never removed for its age.
        file: Option<PathBuf>,
        /// Makes one now, and the next one so long after the end of the one before, until
        /// SIGINT or SIGTERM. One that fails is reported, and the next one tried all the
        /// same; a database that is not there yet is waited for.
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
    /// Puts what is in a backup in the place of what is in the database.
    ///
    /// The services may go on meanwhile. The backup is checked first, and what was in the
    /// database is backed up as well.
    #[command(after_help = help::RESTORE)]
    Restore {
        /// The backup.
        file: PathBuf,
    },
    /// Takes over a database that was made by other means, as if a version had made it.
    ///
    /// Only if its schema is exactly that of the version.
    #[command(after_help = help::BASELINE)]
    Baseline {
        /// The version.
        #[arg(value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(0..))]
        version: i64,
    },
    /// Waits until the database is there and migrated.
    #[command(after_help = help::WAIT)]
    Wait {
        /// The version to wait for, instead of the newest; a later one will do.
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(0..))]
        version: Option<i64>,
        /// How long, before giving up with exit code 75.
        #[arg(
            long,
            value_name = "DURATION",
            default_value = "60s",
            value_parser = process::settings::duration_or_zero
        )]
        timeout: Duration,
    },
    /// Prints the schema of the database as DDL, in one spelling.
    #[command(after_help = help::DUMP)]
    Dump,
    /// Records the statements of the services as those of a release.
    ///
    /// From then on `check` refuses migrations that break one of them, since the services of
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

/// What `migrate` can be told.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct MigrateArgs {
    /// What the migration does, in a few words, such as `add_bio`.
    #[arg(required_unless_present = "check")]
    pub name: Option<String>,
    /// Upgrades the database afterwards.
    #[arg(long, conflicts_with_all = ["check", "empty"])]
    pub apply: bool,
    /// Writes a pair of files without a statement, to be filled by hand.
    #[arg(long, conflicts_with = "check")]
    pub empty: bool,
    /// The service that an empty migration is for.
    #[arg(
        long,
        value_name = "SERVICE",
        default_value = "user-service",
        requires = "empty"
    )]
    pub owner: String,
    /// Writes nothing, and exits with 3 if there is a difference.
    #[arg(long)]
    pub check: bool,
    /// Also if the way up destroys data. It is marked where it does.
    #[arg(long)]
    pub allow_data_loss: bool,
}

impl<'a> From<&'a MigrateArgs> for Generate<'a> {
    fn from(args: &'a MigrateArgs) -> Self {
        Self {
            name: args.name.as_deref().unwrap_or("check"),
            empty_for: args.empty.then_some(&args.owner),
            check: args.check,
            allow_data_loss: args.allow_data_loss,
        }
    }
}

/// What a run can be told.
#[derive(Args, Clone, Copy, Debug)]
pub struct RunArgs {
    /// Does all of it, prints what each statement did, and undoes it.
    #[arg(long)]
    pub dry_run: bool,
    /// Makes no backup first.
    #[arg(long)]
    pub no_backup: bool,
}

impl RunArgs {
    /// The same run, as it is told.
    pub fn apply_to(self, run: Run) -> Run {
        Run {
            dry_run: self.dry_run,
            no_backup: self.no_backup,
            ..run
        }
    }
}

/// Settings of the place, which the environment gives as well: one that cannot work is
/// told apart from a command that cannot be understood.
const SETTINGS: [&str; 6] = [
    "--database-url",
    "--lock-timeout",
    "--backup-folder",
    "--keep",
    "--log",
    "--log-format",
];

/// Says what is wrong with the command line, or prints the help that was asked for.
pub fn misunderstood(error: &clap::Error) -> ExitCode {
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
    output.misunderstood(exit, &process::usage_message(error))
}

impl Command {
    /// As it is typed.
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
