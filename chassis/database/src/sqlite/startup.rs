//! The wait for the database: the migrator creates it, perhaps only after this process
//! was started.

use std::io;

use process::ExitError;
use serde::Deserialize;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, SqlSafeStr, SqliteConnection};

use super::{
    APPLICATION_ID, Database, disk_space, history, result_code::primary_code, sqlite_version,
    volume,
};
use crate::{
    readiness::{NotReady, wait_until_ready},
    settings::DatabaseUrl,
};

/// A statement as sqlx records it when it checks it.
#[derive(Deserialize)]
struct Recorded {
    query: String,
}

impl Database {
    /// Waits until the database is ready, and starts the queue of writes.
    pub(super) async fn start(&self) -> Result<(), ExitError> {
        sqlite_version::check_minimum()?;
        let connection = wait_until_ready(self.wait, || self.check()).await?;
        self.writes
            .start(connection, self.write_options(), self.requirements.access)
            .await;
        Ok(())
    }

    /// A connection that may write, to a database that is as it should be.
    async fn check(&self) -> Result<SqliteConnection, NotReady> {
        let path = self.path.as_path();
        volume::check(path)
            .map_err(|unfit| NotReady::Fatal(ExitError::Config(unfit.to_string())))?;
        match path.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(NotReady::Retry(format!(
                    "there is no file {}; `migrator upgrade` creates it, and DATABASE_URL says \
                     where it is",
                    path.display()
                )));
            }
            Err(error) => return Err(self.cannot_open(&error)),
            Ok(file) if !file.is_file() => {
                return Err(NotReady::Fatal(ExitError::Config(format!(
                    "{} is no file; set DATABASE_URL to the database file itself",
                    path.display()
                ))));
            }
            Ok(_) => {}
        }
        disk_space::check_free_space(path).map_err(|full| NotReady::Retry(full.to_string()))?;
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
        Ok(connection)
    }

    /// Whether the database is one of this system.
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

    /// Whether it is at least at the version that the service needs.
    async fn check_version(&self, connection: &mut SqliteConnection) -> Result<(), NotReady> {
        let version = history::version(connection)
            .await
            .map_err(|error| self.open_error(&error))?;
        match version {
            Some(version) if version >= self.requirements.min_schema_version => Ok(()),
            version => Err(self.outdated(version)),
        }
    }

    /// Whether every statement of the service can be run on it, which a newer version
    /// need not allow.
    async fn prepare_all(&self, connection: &mut SqliteConnection) -> Result<(), NotReady> {
        for recorded in (self.requirements.statements)() {
            let Recorded { query } = serde_json::from_str(recorded).map_err(|error| {
                NotReady::Fatal(ExitError::Failed(format!("a recorded statement: {error}")))
            })?;
            // It was recorded by the compiler, and is not a caller's text.
            let query = AssertSqlSafe(query).into_sql_str();
            if let Err(error) = connection.prepare(query).await {
                return Err(NotReady::Fatal(ExitError::Config(format!(
                    "the schema of {} is one that this version of the service does not work \
                     with ({error}); run a version as new as the database",
                    self.url()
                ))));
            }
        }
        Ok(())
    }

    fn open_error(&self, error: &sqlx::Error) -> NotReady {
        match primary_code(error) {
            Some(libsqlite3_sys::SQLITE_NOTADB) => self.foreign_database(),
            Some(libsqlite3_sys::SQLITE_CORRUPT) => NotReady::Fatal(ExitError::Failed(format!(
                "{} is damaged ({error}); put a copy in its place",
                self.url()
            ))),
            // Somebody is creating or recovering it.
            Some(libsqlite3_sys::SQLITE_BUSY) => {
                NotReady::Retry(format!("{} is locked by another process", self.url()))
            }
            _ => self.cannot_open(error),
        }
    }

    /// Returns the URL by which people know the database.
    fn url(&self) -> DatabaseUrl {
        DatabaseUrl::from_path(&self.path)
    }

    fn foreign_database(&self) -> NotReady {
        NotReady::Fatal(ExitError::Config(format!(
            "{} is not a database of this system, and is left alone; set DATABASE_URL to \
             another file",
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
            "{} cannot be opened: {error}; check the permissions of the file and its folder",
            self.url()
        )))
    }
}
