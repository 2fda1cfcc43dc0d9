//! The ends of the help texts: examples, and the exit codes.

use migrator::Exit;

/// Returns the end of the help of `migrator`: examples, and the table of exit codes.
pub fn with_exit_codes() -> String {
    let code = |(exit, meaning): (Exit, &str)| format!("\n  {:<3} {meaning}", exit.code());
    let codes: String = Exit::MEANINGS.into_iter().map(code).collect();
    format!("{EXAMPLES}\n\nExit codes:{codes}")
}

/// The help of `--database-url`, whose default depends on the project.
pub const DATABASE_URL: &str = "\
The database file, as a URL: `sqlite:` and a path. Another project has its own default: `database` \
in its migrator.toml, or data/app.db in its directory.

[default: sqlite:data/microblog.db]";

/// The help of `--project`.
pub const PROJECT: &str = "\
The directory of another project than the compiled-in microblog. Each directory in it that holds a \
schema.sql owns the tables declared there, and the migrations beside it. Without this setting, \
`migrate` and `release` write to the working directory.

[default: the microblog]";

const EXAMPLES: &str = "\
Examples:
  migrator upgrade                                    upgrades to the newest version
  migrator migrate add_bio                            generates a migration from schema.sql
  migrator --database-url sqlite:/srv/blog.db status  shows the state of another database
  migrator --project notes upgrade                    upgrades the database of another project";

pub const CREATE: &str = "\
Examples:
  migrator create
  migrator create --database-url sqlite:/srv/blog.db";

pub const MIGRATE: &str = "\
Examples:
  migrator migrate add_bio                    writes 0003_add_bio.up.sql and .down.sql
  migrator migrate add_bio --apply            and upgrades the database
  migrator migrate drop_bio --allow-data-loss even if a column is dropped
  migrator migrate fill_bio --empty           to be edited by hand
  migrator migrate --check                    for CI: exits with 3 if one is missing";

pub const UPGRADE: &str = "\
Examples:
  migrator upgrade                    to the newest version
  migrator upgrade --to 1             to version 1
  migrator upgrade --dry-run          prints the effects, and rolls back
  migrator upgrade --lock-timeout 5m  while a process holds the lock for minutes";

pub const DOWNGRADE: &str = "\
Examples:
  migrator downgrade                    to the previous version
  migrator downgrade --to 1             to version 1
  migrator downgrade --dry-run          prints the effects, and rolls back
  migrator downgrade --allow-data-loss  even if a table with rows is dropped";

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
  migrator backup /mnt/tuesday.db    to this file
  migrator backup --every 1h         now and every hour, until a signal";

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
  migrator dump > dump.sql";

pub const RELEASE: &str = "\
Examples:
  migrator release";

pub const COMPLETIONS: &str = "\
Examples:
  migrator completions bash > /etc/bash_completion.d/migrator
  migrator completions zsh > ~/.zfunc/_migrator
  migrator completions fish > ~/.config/fish/completions/migrator.fish";
