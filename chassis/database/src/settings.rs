//! The settings of the database: its location, limits and timeouts.

use std::{ffi::OsStr, num::NonZeroUsize, path::PathBuf, str::FromStr, time::Duration};

use clap::Args;
use process::settings::{count, defaults, duration, duration_or_zero};

/// The settings of the database.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Database")]
pub struct DatabaseSettings {
    /// URL of the database file: `sqlite:` and a path.
    #[arg(
        long,
        env,
        value_name = "URL",
        default_value = "sqlite:data/microblog.db"
    )]
    pub database_url: DatabaseUrl,

    /// Maximum wait at startup for the database to be created and migrated. The service then
    /// exits with 75.
    #[arg(long, env, value_name = "DURATION", default_value = "60s", value_parser = duration_or_zero)]
    pub database_startup_timeout: Duration,

    /// Maximum number of read connections. Each uses one thread.
    #[arg(long, env, value_name = "COUNT", default_value = "4", value_parser = count)]
    pub max_read_connections: NonZeroUsize,

    /// Maximum wait of a read for a connection. It then fails with OVERLOADED.
    #[arg(long, env, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    pub read_pool_timeout: Duration,

    /// Execute reads of a few rows by key in the thread of their call instead of on a read
    /// connection. This is several times as fast, but a slow disk then delays the other calls of
    /// that thread.
    #[arg(long, env, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub inline_reads: bool,

    /// Maximum number of queued writes. Further writes fail with OVERLOADED.
    #[arg(long, env, value_name = "COUNT", default_value = "1024", value_parser = count)]
    pub write_queue_capacity: NonZeroUsize,

    /// Maximum number of writes in one transaction.
    #[arg(long, env, value_name = "COUNT", default_value = "128", value_parser = count)]
    pub max_write_batch: NonZeroUsize,

    /// Maximum wait of a write for the lock of another process. It then fails with
    /// `DATABASE_BUSY`.
    #[arg(long, env, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub lock_timeout: Duration,

    /// Minimum free space on the disk of the database. With less, writes fail with `STORAGE_FULL`.
    /// With 0, writes fail only when the disk is full, which kills the process on some file
    /// systems.
    #[arg(long, env, value_name = "BYTES", default_value = "16777216")]
    pub min_free_disk_bytes: u64,

    /// Maximum size of the responses that each service stores for 24 hours under the request ids
    /// of writes, with 128 bytes for each record. At the maximum, new request ids fail with
    /// `REQUEST_ID_STORAGE_FULL`.
    #[arg(long, env, value_name = "BYTES", default_value = "2147483648")]
    pub max_stored_response_bytes: u64,
}

/// The URL of a database, with one variant for each engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// The file of an SQLite database, from `sqlite:path` or `sqlite://path`.
    Sqlite(PathBuf),
}

impl DatabaseUrl {
    /// Returns the URL of the SQLite database in the file at `path`.
    #[must_use]
    pub fn from_path(path: impl Into<PathBuf>) -> Self {
        Self::Sqlite(path.into())
    }
}

impl FromStr for DatabaseUrl {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let url = url.trim();
        let invalid = |why: &str| Err(format!("{why}; write for example {EXAMPLE}"));
        let Some((scheme, path)) = url.split_once(':') else {
            return invalid("it does not start with `sqlite:`");
        };
        if !scheme.eq_ignore_ascii_case("sqlite") {
            return invalid("it does not start with `sqlite:`");
        }
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.contains(['?', '#']) {
            return invalid("options in the URL are not supported");
        }
        if path.contains('%') {
            return invalid("percent-encoding is not supported");
        }
        if path.contains(char::is_control) {
            return invalid("it contains a line break or another control character");
        }
        if path.starts_with(['~', '$']) {
            return invalid("only a shell expands `~` and variables");
        }
        let path: PathBuf = path.into();
        let name = path.file_name().and_then(OsStr::to_str);
        // SQLite opens a path with the prefix `file:` as a URI, and `:memory:` without a file.
        if path
            .as_os_str()
            .to_string_lossy()
            .to_lowercase()
            .starts_with("file:")
            || name.is_none_or(|name| name.starts_with(":memory:"))
            || url.ends_with(['/', '\\'])
            || url.ends_with("/.")
        {
            return invalid("it does not name a file, which the processes share");
        }
        Ok(Self::Sqlite(path))
    }
}

/// A valid URL, for error messages.
const EXAMPLE: &str = "sqlite:data/microblog.db or sqlite:/var/lib/microblog/microblog.db";

impl std::fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
        }
    }
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        defaults()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_valid_value() {
        let _ = DatabaseSettings::default();
    }

    #[test]
    fn spellings_of_one_file_are_parsed_alike() {
        for (path, urls) in [
            (
                "data/x.db",
                &[
                    "sqlite:data/x.db",
                    "sqlite://data/x.db",
                    " SQLite:data/x.db \r\n",
                ][..],
            ),
            (
                "/var/x.db",
                &[
                    "sqlite:/var/x.db",
                    "sqlite:///var/x.db",
                    "sqlite:////var/x.db\n",
                ],
            ),
            ("./a b.db", &["sqlite:./a b.db"]),
            ("a~b$c.db", &["sqlite:a~b$c.db"]),
        ] {
            for url in urls {
                let parsed: DatabaseUrl = url.parse().unwrap();

                assert_eq!(parsed, DatabaseUrl::from_path(path), "{url:?}");
            }
        }
    }

    #[test]
    fn a_url_without_a_file_is_rejected_with_an_example() {
        for url in [
            "",
            "data/x.db",
            "~/x.db",
            "/dev/null",
            "postgres://x",
            "sqlite3:x.db",
            "sqlite+aiosqlite:///x.db",
            "file:x.db",
            "\"sqlite:x.db\"",
            "sqlite",
            "sqlite:",
            "sqlite://",
            "sqlite:/",
            "sqlite:.",
            "sqlite:..",
            "sqlite:data/",
            "sqlite:data/.",
            "sqlite:data/..",
            "sqlite::memory:",
            "sqlite://:memory:",
            "sqlite:data/:memory:",
            "sqlite:file:x.db",
            "sqlite:FILE:x.db",
            "sqlite:x?mode=ro",
            "sqlite:x.db#a",
            "sqlite:my%20blog.db",
            "sqlite:~/x.db",
            "sqlite:$HOME/x.db",
            "sqlite:x.db\nsqlite:y.db",
        ] {
            let reason = url.parse::<DatabaseUrl>().expect_err(url);

            assert!(
                reason.ends_with(&format!("; write for example {EXAMPLE}")),
                "{reason}"
            );
        }
    }
}
