//! The checks of the database at startup: location, disk space, owner, version of the schema and
//! statements. The database may not exist yet, since the migrator may run only after this process
//! starts.

use std::io;

use process::ExitError;
use serde::Deserialize;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, SqlSafeStr, SqliteConnection};

use super::{
    APPLICATION_ID, Database, FileIdentity, disk_space, history, open_files::OpenFiles,
    result_code::primary_code, sqlite_version, volume,
};
use crate::{
    readiness::{NotReady, wait_until_ready},
    settings::DatabaseUrl,
};

/// A statement as sqlx records it at compile time.
#[derive(Deserialize)]
struct Recorded {
    query: String,
}

impl Database {
    /// Waits until the database is ready, and starts the writer task.
    pub(super) async fn start(&self) -> Result<(), ExitError> {
        sqlite_version::check_minimum()?;
        let (connection, files) = wait_until_ready(self.startup_timeout, || self.check()).await?;
        let (options, access) = (self.write_options(), self.requirements.access);
        self.writes
            .start(connection, files, options, access, self.reads.clone())
            .await;
        Ok(())
    }

    /// Checks the database, and returns a connection that can write, with its files.
    async fn check(&self) -> Result<(SqliteConnection, OpenFiles), NotReady> {
        let path = self.path.as_path();
        volume::check(path)
            .map_err(|error| NotReady::Fatal(ExitError::Config(error.to_string())))?;
        let identity = match FileIdentity::of(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(NotReady::Retry(format!(
                    "the file {} does not exist; `migrator upgrade` creates it, and DATABASE_URL \
                     sets its path",
                    path.display()
                )));
            }
            Err(error) => return Err(self.cannot_open(&error)),
            Ok(identity) => identity,
        };
        disk_space::check_free_space(path).map_err(|error| NotReady::Retry(error.to_string()))?;
        let opened = self.write_options().connect().await;
        let mut connection = opened.map_err(|error| self.open_error(&error))?;
        self.check_owner(&mut connection).await?;
        self.check_version(&mut connection).await?;
        self.requirements
            .access
            .install(&mut connection)
            .await
            .map_err(|error| self.cannot_open(&error))?;
        self.prepare_all(&mut connection).await?;
        let files = OpenFiles::record(path, identity)
            .map_err(|change| NotReady::Retry(change.to_string()))?;
        Ok((connection, files))
    }

    /// Checks that the database belongs to this system.
    async fn check_owner(&self, connection: &mut SqliteConnection) -> Result<(), NotReady> {
        let (owner, objects, journal): (i32, i64, String) = sqlx::query_as(
            "select application_id, (select count(*) from sqlite_schema), journal_mode
             from pragma_application_id, pragma_journal_mode",
        )
        .fetch_one(connection)
        .await
        .map_err(|error| self.open_error(&error))?;
        match (owner, objects) {
            (APPLICATION_ID, _) if journal == "wal" => Ok(()),
            (APPLICATION_ID, _) | (0, 0) => Err(self.outdated(None)),
            _ => Err(self.foreign_database()),
        }
    }

    /// Checks that the schema has the version that the service needs, or a later one.
    async fn check_version(&self, connection: &mut SqliteConnection) -> Result<(), NotReady> {
        let version = history::version(connection)
            .await
            .map_err(|error| self.open_error(&error))?;
        match version {
            Some(version) if version >= self.requirements.min_schema_version => Ok(()),
            version => Err(self.outdated(version)),
        }
    }

    /// Checks that SQLite prepares every statement of the service. A later version of the schema may
    /// have dropped a column.
    async fn prepare_all(&self, connection: &mut SqliteConnection) -> Result<(), NotReady> {
        for recorded in (self.requirements.statements)() {
            let Recorded { query } = serde_json::from_str(recorded).map_err(|error| {
                NotReady::Fatal(ExitError::Failed(format!(
                    "a recorded statement cannot be decoded: {error}"
                )))
            })?;
            // sqlx recorded it at compile time; it contains no text of a caller.
            let query = AssertSqlSafe(query).into_sql_str();
            if let Err(error) = connection.prepare(query).await {
                return Err(NotReady::Fatal(ExitError::Config(format!(
                    "this version of the service does not work with the schema of {} ({error}); \
                     run a version as new as the database",
                    self.url()
                ))));
            }
        }
        Ok(())
    }

    /// Returns the reason for an error of the first statements on a connection.
    fn open_error(&self, error: &sqlx::Error) -> NotReady {
        match primary_code(error) {
            Some(libsqlite3_sys::SQLITE_NOTADB) => self.foreign_database(),
            Some(libsqlite3_sys::SQLITE_CORRUPT) => NotReady::Fatal(ExitError::Failed(format!(
                "{} is damaged ({error}); replace it by a backup",
                self.url()
            ))),
            // Another process creates it, or recovers it after a crash.
            Some(libsqlite3_sys::SQLITE_BUSY) => {
                NotReady::Retry(format!("{} is locked by another process", self.url()))
            }
            _ => self.cannot_open(error),
        }
    }

    /// Returns the URL of the database, for error messages.
    fn url(&self) -> DatabaseUrl {
        DatabaseUrl::from_path(&self.path)
    }

    fn foreign_database(&self) -> NotReady {
        NotReady::Fatal(ExitError::Config(format!(
            "{} is not a database of this system; set DATABASE_URL to another file",
            self.url()
        )))
    }

    fn outdated(&self, version: Option<i64>) -> NotReady {
        NotReady::Retry(format!(
            "{} is at version {} and this service needs {}; run `migrator upgrade`",
            self.url(),
            version.unwrap_or(0),
            self.requirements.min_schema_version
        ))
    }

    fn cannot_open(&self, error: &dyn std::error::Error) -> NotReady {
        NotReady::Fatal(ExitError::Failed(format!(
            "{} cannot be opened: {error}; check the permissions of the file and its directory",
            self.url()
        )))
    }
}
