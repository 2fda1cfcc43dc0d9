//! The one connection of a run: opening it, the advisory lock, and its one transaction.

use std::time::{Duration, Instant};

use database::postgres::PostgresUrl;
use sqlx::{Connection, Executor, PgConnection};

use super::error::PostgresError;
use crate::state::{database_name::DatabaseName, error::DatabaseError};

/// The key of the advisory lock that one migrator of a database holds: `MBLG` in ASCII.
const ADVISORY_LOCK: i64 = 0x4D42_4C47;

/// The longest time that one attempt waits for a lock. All readers of a table queue behind a waiting
/// ALTER TABLE, so each attempt is short, and the run is retried.
const LOCK_ATTEMPT: &str = "set local lock_timeout = '2s'";

/// The oldest supported version of the server, as `server_version_num`.
const MIN_SERVER_VERSION: i32 = 15_00_00;

/// An open connection to a database.
#[derive(Debug)]
pub(super) struct Session {
    connection: PgConnection,
}

impl Session {
    /// Opens an existing database.
    pub(super) async fn open(url: &PostgresUrl) -> Result<Self, DatabaseError> {
        let connected = PgConnection::connect_with(&url.options()).await;
        let mut connection = connected.map_err(|error| connect_error(url, error))?;
        let (version, number, encoding): (String, i32, String) = sqlx::query_as(
            "select version(), current_setting('server_version_num')::int,
                current_setting('server_encoding')",
        )
        .fetch_one(&mut connection)
        .await?;
        if number < MIN_SERVER_VERSION || !version.starts_with("PostgreSQL") {
            return Err(PostgresError::Version { version }.into());
        }
        if encoding != "UTF8" {
            return Err(PostgresError::Encoding {
                database: DatabaseName::from_url(url),
                encoding,
            }
            .into());
        }
        Ok(Self { connection })
    }

    /// Returns the connection, for the statements of the run's transaction.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Begins the transaction of the run, and takes the advisory lock. Waits for another migrator for
    /// `lock_timeout` at most.
    pub(super) async fn begin(&mut self, lock_timeout: Duration) -> Result<(), DatabaseError> {
        let started = Instant::now();
        loop {
            self.connection.execute("begin").await?;
            self.connection.execute(LOCK_ATTEMPT).await?;
            let locked = sqlx::query("select pg_advisory_xact_lock($1)")
                .bind(ADVISORY_LOCK)
                .execute(&mut self.connection)
                .await;
            match locked {
                Ok(_) => return Ok(()),
                Err(error) if !is_lock_timeout(&error) => return Err(error.into()),
                Err(_) if started.elapsed() >= lock_timeout => {
                    self.rollback().await;
                    return Err(DatabaseError::Locked(lock_timeout));
                }
                Err(_) => self.rollback().await,
            }
        }
    }

    /// Commits the transaction of the run.
    pub(super) async fn commit(&mut self) -> Result<(), DatabaseError> {
        self.connection.execute("commit").await?;
        Ok(())
    }

    /// Rolls back the transaction.
    pub(super) async fn rollback(&mut self) {
        // This fails if the connection is lost. The server has rolled back then.
        let _ = self.connection.execute("rollback").await;
    }

    /// Closes the connection.
    pub(super) async fn close(self) {
        if let Err(error) = self.connection.close().await {
            tracing::debug!(%error, "connection was not closed cleanly");
        }
    }
}

/// Creates the database of a URL, through the database `postgres` of the same server.
pub(super) async fn create_database(url: &PostgresUrl) -> Result<(), DatabaseError> {
    let options = url.options().database("postgres");
    let mut connection = PgConnection::connect_with(&options)
        .await
        .map_err(|error| connect_error(url, error))?;
    let name = url.database().replace('"', "\"\"");
    let create =
        format!("create database \"{name}\" template template0 encoding 'UTF8' locale 'C.UTF-8'");
    let created = sqlx::raw_sql(sqlx::AssertSqlSafe(create))
        .execute(&mut connection)
        .await;
    match created {
        Ok(_) => Ok(()),
        // Another migrator was first.
        Err(error) if code(&error).as_deref() == Some("42P04") => Ok(()),
        Err(source) => Err(PostgresError::NotCreated {
            database: DatabaseName::from_url(url),
            source,
        }
        .into()),
    }
}

/// Reports whether a statement waited too long for a lock.
pub(super) fn is_lock_timeout(error: &sqlx::Error) -> bool {
    code(error).as_deref() == Some("55P03")
}

/// Returns the SQLSTATE of an error.
fn code(error: &sqlx::Error) -> Option<String> {
    let code = error.as_database_error()?.code()?;
    Some(code.into_owned())
}

/// Returns the error for a failed connection.
fn connect_error(url: &PostgresUrl, source: sqlx::Error) -> DatabaseError {
    let database = DatabaseName::from_url(url);
    match code(&source).as_deref() {
        Some("3D000") => DatabaseError::NotFound { database },
        Some("28P01" | "28000") => PostgresError::Login { database, source }.into(),
        _ => DatabaseError::Unreachable { database, source },
    }
}
