//! What the help ends with: examples, and the exit codes.

use migrator::Exit;

/// Returns the end of the help of `migrator`: examples, and the table of exit codes.
pub fn with_exit_codes() -> String {
    let code = |(exit, meaning): (Exit, &str)| format!("\n  {:<3} {meaning}", exit.code());
    let codes: String = Exit::MEANINGS.into_iter().map(code).collect();
    format!("{EXAMPLES}\n\nExit codes:{codes}")
}

const EXAMPLES: &str = "\
Examples:
  migrator upgrade                                    brings the database up to date
  migrator migrate add_bio                            writes what schema.sql now asks for
  migrator --database-url sqlite:/srv/blog.db status  shows where another one stands";

pub const CREATE: &str = "\
Examples:
  migrator create
  migrator create --database-url sqlite:/srv/blog.db";

pub const MIGRATE: &str = "\
Examples:
  migrator migrate add_bio                    writes 0003_add_bio.up.sql and its way back
  migrator migrate add_bio --apply            and upgrades the database
  migrator migrate drop_bio --allow-data-loss also if a column goes
  migrator migrate fill_bio --empty           to be filled by hand
  migrator migrate --check                    for CI: exits with 3 if one is missing";

pub const UPGRADE: &str = "\
Examples:
  migrator upgrade                    to the newest version
  migrator upgrade --to 1             to version 1 and no further
  migrator upgrade --dry-run          says what it would do, and how long it takes
  migrator upgrade --lock-timeout 5m  while something holds the database for minutes";

pub const DOWNGRADE: &str = "\
Examples:
  migrator downgrade                    one version back
  migrator downgrade --to 1             back to version 1
  migrator downgrade --dry-run          says what it would do, and how long it takes
  migrator downgrade --allow-data-loss  also if a table with rows goes";

pub const STATUS: &str = "\
Examples:
  migrator status
  migrator status --exit-code || migrator upgrade
  migrator status --json | jq .version";

pub const CHECK: &str = "\
Examples:
  migrator check
  migrator check --project . --database-url sqlite:/srv/copy.db";

pub const DIFF: &str = "\
Examples:
  migrator diff";

pub const BACKUP: &str = "\
Examples:
  migrator backup                    into the folder `backups` beside the database
  migrator backup --keep 30          and keeps the newest 30
  migrator backup /mnt/tuesday.db    as a file of its own
  migrator backup --every 1h         now and every hour, until it is ended";

pub const BACKUPS: &str = "\
Examples:
  migrator backups
  migrator backups --json";

pub const RESTORE: &str = "\
Examples:
  migrator restore data/backups/microblog-20261124T065018.123Z-v0002.db";

pub const BASELINE: &str = "\
Examples:
  migrator baseline 2";

pub const WAIT: &str = "\
Examples:
  migrator wait && post-service
  migrator wait --version 2 --timeout 5m";

pub const DUMP: &str = "\
Examples:
  migrator dump
  migrator dump > schema.sql";

pub const RELEASE: &str = "\
Examples:
  migrator release";

pub const COMPLETIONS: &str = "\
Examples:
  migrator completions bash > /etc/bash_completion.d/migrator
  migrator completions zsh > ~/.zfunc/_migrator
  migrator completions fish > ~/.config/fish/completions/migrator.fish";
