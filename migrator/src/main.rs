//! The migrator as a program: its command line, and what it prints.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use chassis::{
    process::{self, Failure},
    settings::{DatabaseUrl, LogSettings},
};
use clap::{Parser, Subcommand};
use migrator::Migrator;

/// Creates, upgrades and downgrades the database of the microblog.
///
/// Each run is one transaction: it ends whole or not at all. Any number may run at once,
/// also while the services are running.
#[derive(Parser, Debug)]
#[command(version, after_help = EXIT_CODES)]
struct Settings {
    /// The database file, as a URL: `sqlite:` and a path.
    #[arg(
        long,
        env,
        global = true,
        value_name = "URL",
        default_value = "sqlite:data/microblog.db"
    )]
    database_url: DatabaseUrl,

    /// How long to wait, in all, for other processes that use the database, before
    /// giving up with exit code 75.
    #[arg(
        long,
        env,
        global = true,
        value_name = "DURATION",
        default_value = "30s",
        value_parser = chassis::settings::duration_or_zero
    )]
    lock_timeout: Duration,

    #[command(flatten)]
    logs: LogSettings,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Makes the database file, with an empty history and no tables yet.
    ///
    /// A database that is there already stays as it is. A file that belongs to something
    /// else is refused and stays as it is, too.
    #[command(after_help = CREATE_EXAMPLES)]
    Create,
    /// Applies the migrations that are not applied yet.
    ///
    /// Creates the database first, if there is none. If one migration fails, none is
    /// applied.
    #[command(after_help = UPGRADE_EXAMPLES)]
    Upgrade {
        /// The migration to stop after, instead of the newest.
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(0..))]
        to: Option<i64>,
    },
    /// Undoes the newest migration, or several.
    ///
    /// What the undone migrations added is lost, with the rows in it.
    #[command(after_help = DOWNGRADE_EXAMPLES)]
    Downgrade {
        /// The migration to go back to, instead of the last but one; 0 undoes all.
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(0..))]
        to: Option<i64>,
    },
    /// Shows which migrations are applied.
    ///
    /// The states: `applied`; `pending`, not applied yet; `changed`, its file is not what
    /// was applied; `missing`, applied by another migrator and unknown to this one.
    #[command(after_help = STATUS_EXAMPLES)]
    Status,
}

const EXIT_CODES: &str = "\
Examples:
  migrator upgrade                                    brings the database up to date
  migrator --database-url sqlite:/srv/blog.db status  shows where another one stands

Exit codes:
  0   done, or nothing to do
  1   failed, and the database is as it was
  2   the command line cannot be understood
  64  a setting cannot work
  75  try again: the database is locked or not created yet";

const CREATE_EXAMPLES: &str = "\
Examples:
  migrator create
  migrator create --database-url sqlite:/srv/blog.db";

const UPGRADE_EXAMPLES: &str = "\
Examples:
  migrator upgrade                    to the newest version
  migrator upgrade --to 1             to version 1 and no further
  migrator upgrade --lock-timeout 5m  while something holds the database for minutes";

const DOWNGRADE_EXAMPLES: &str = "\
Examples:
  migrator downgrade         one version back
  migrator downgrade --to 1  back to version 1
  migrator downgrade --to 0  back to an empty database";

const STATUS_EXAMPLES: &str = "\
Examples:
  migrator status
  DATABASE_URL=sqlite:/srv/blog.db migrator status";

fn main() -> ExitCode {
    process::main(|settings: &Settings| &settings.logs, run)
}

async fn run(settings: Settings) -> Result<(), Failure> {
    let migrator = Migrator::new(&settings.database_url, settings.lock_timeout)?;
    let said = match settings.command {
        Command::Create => migrator.create().await?.to_string(),
        Command::Upgrade { to } => migrator.upgrade(to).await?.to_string(),
        Command::Downgrade { to } => migrator.downgrade(to).await?.to_string(),
        Command::Status => migrator.status().await?.to_string(),
    };
    // What was done is done, even if nobody reads of it.
    let _ = io::stdout().write_all(said.as_bytes());
    Ok(())
}
