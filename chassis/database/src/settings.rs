//! The settings of the database: its location, limits and timeouts.

use std::{num::NonZeroUsize, path::PathBuf, str::FromStr, time::Duration};

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
        let path = url
            .strip_prefix("sqlite:")
            .map(|rest| rest.strip_prefix("//").unwrap_or(rest))
            .ok_or(
                "it does not start with `sqlite:`; write for example sqlite:data/microblog.db",
            )?;
        if path.is_empty() || path.starts_with(":memory:") {
            return Err(
                "it does not name a file, which the processes share; write for example \
                 sqlite:data/microblog.db"
                    .into(),
            );
        }
        if path.contains(['?', '#']) {
            return Err("options in the URL are not supported; give the path alone".into());
        }
        Ok(Self::Sqlite(path.into()))
    }
}

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
    fn a_url_with_the_scheme_sqlite_is_parsed() {
        for url in ["sqlite:data/x.db", "sqlite://data/x.db"] {
            let parsed: DatabaseUrl = url.parse().unwrap();
            assert_eq!(parsed, DatabaseUrl::from_path("data/x.db"));
        }
        let absolute: DatabaseUrl = "sqlite:///var/x.db".parse().unwrap();
        assert_eq!(absolute, DatabaseUrl::from_path("/var/x.db"));
    }

    #[test]
    fn a_url_without_a_file_is_rejected() {
        for url in [
            "",
            "postgres://x",
            "sqlite:",
            "sqlite::memory:",
            "sqlite:x?mode=ro",
        ] {
            assert!(url.parse::<DatabaseUrl>().is_err(), "{url} was accepted");
        }
    }
}
