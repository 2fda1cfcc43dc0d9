//! What the help ends with: examples, and the exit codes.

use migrator::Exit;

/// Returns the end of the help of `migrator`: examples, and the table of exit codes.
pub fn with_exit_codes() -> String {
    let code = |exit: Exit| format!("\n  {:<3} {}", exit.code(), exit.meaning());
    let codes = Exit::ALL.into_iter().map(code).collect::<String>();
    format!("{EXAMPLES}\n\nExit codes:{codes}")
}

const EXAMPLES: &str = "\
Examples:
  migrator upgrade                                    brings the database up to date
  migrator migrate add_bio                            writes what schema.sql now asks for
  migrator --database-url sqlite:/srv/blog.db status  shows where another one stands";

/// At the end of the help of `create`.
pub const CREATE: &str = "\
Examples:
  migrator create
  migrator create --database-url sqlite:/srv/blog.db";

/// At the end of the help of `migrate`.
pub const MIGRATE: &str = "\
Examples:
  migrator migrate add_bio                    writes 0003_add_bio.up.sql and its way back
  migrator migrate add_bio --apply            and upgrades the database
  migrator migrate drop_bio --allow-data-loss also if a column goes
  migrator migrate fill_bio --empty           to be filled by hand
  migrator migrate --check                    for CI: exits with 3 if one is missing";

/// At the end of the help of `upgrade`.
pub const UPGRADE: &str = "\
Examples:
  migrator upgrade                    to the newest version
  migrator upgrade --to 1             to version 1 and no further
  migrator upgrade --dry-run          says what it would do, and how long it takes
  migrator upgrade --lock-timeout 5m  while something holds the database for minutes";

/// At the end of the help of `downgrade`.
pub const DOWNGRADE: &str = "\
Examples:
  migrator downgrade                    one version back
  migrator downgrade --to 1             back to version 1
  migrator downgrade --dry-run          says what it would do, and how long it takes
  migrator downgrade --allow-data-loss  also if a table with rows goes";

/// At the end of the help of `status`.
pub const STATUS: &str = "\
Examples:
  migrator status
  migrator status --exit-code || migrator upgrade
  migrator status --json | jq .version";

/// At the end of the help of `check`.
pub const CHECK: &str = "\
Examples:
  migrator check
  migrator check --project . --database-url sqlite:/srv/copy.db";

/// At the end of the help of `diff`.
pub const DIFF: &str = "\
Examples:
  migrator diff";

/// At the end of the help of `backup`.
pub const BACKUP: &str = "\
Examples:
  migrator backup                    into the folder `backups` beside the database
  migrator backup --keep 30          and keeps the newest 30
  migrator backup /mnt/tuesday.db    as a file of its own
  migrator backup --every 1h         now and every hour, until it is ended";

/// At the end of the help of `backups`.
pub const BACKUPS: &str = "\
Examples:
  migrator backups
  migrator backups --json";

/// At the end of the help of `restore`.
pub const RESTORE: &str = "\
Examples:
  migrator restore data/backups/microblog-20261124T065018.123Z-v0002.db";

/// At the end of the help of `baseline`.
pub const BASELINE: &str = "\
Examples:
  migrator baseline 2";

/// At the end of the help of `wait`.
pub const WAIT: &str = "\
Examples:
  migrator wait && post-service
  migrator wait --version 2 --timeout 5m";

/// At the end of the help of `dump`.
pub const DUMP: &str = "\
Examples:
  migrator dump
  migrator dump > schema.sql";

/// At the end of the help of `release`.
pub const RELEASE: &str = "\
Examples:
  migrator release";
