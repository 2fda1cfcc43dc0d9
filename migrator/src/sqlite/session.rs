//! The one connection of a run: opening it, waiting for other processes, and its one
//! transaction. Only the SQL of transactions is here; the history's is in [`history`].

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use database::sqlite::{FairLock, FileIdentity};
use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteSynchronous},
};

use crate::{
    sqlite::{history, lock_backoff::LockBackoff, result_code::ResultCode, schema::Schema},
    state::{
        application::Application,
        error::DatabaseError,
        history::{DatabaseState, Identity},
    },
};

/// An open connection to a database.
#[derive(Debug)]
pub(crate) struct Session {
    connection: SqliteConnection,
    database: PathBuf,
    // `None` in memory.
    identity: Option<FileIdentity>,
    application: Application,
    backoff: LockBackoff,
}

impl Session {
    /// Opens an existing database file.
    pub(crate) async fn open(
        database: &Path,
        application: Application,
        mut backoff: LockBackoff,
    ) -> Result<Self, DatabaseError> {
        let options = SqliteConnectOptions::new()
            .filename(database)
            .create_if_missing(false)
            // SQLite ignores this pragma inside a transaction, so it is set before. Otherwise a
            // table
            // rebuild would delete the rows that refer to the table. The run checks for orphans
            // before
            // it commits.
            .foreign_keys(false)
            // A reported upgrade survives a power failure.
            .synchronous(SqliteSynchronous::Full)
            // `LockBackoff` waits instead.
            .busy_timeout(Duration::ZERO)
            .disable_statement_logging();
        // From before the file is opened: one that is replaced in between counts as replaced.
        let identity = FileIdentity::of(database).ok();
        let connection = loop {
            match options.connect().await {
                Ok(connection) => break connection,
                Err(error) => pause(&mut backoff, database, application, error).await?,
            }
        };
        Ok(Self {
            connection,
            database: database.to_owned(),
            identity,
            application,
            backoff,
        })
    }

    /// Opens a database in memory instead of a missing file, for a dry run.
    pub(crate) async fn open_in_memory(
        database: &Path,
        application: Application,
        backoff: LockBackoff,
    ) -> Result<Self, DatabaseError> {
        Ok(Self {
            connection: connect_in_memory().await?,
            database: database.to_owned(),
            identity: None,
            application,
            backoff,
        })
    }

    /// Reads the state of the database.
    pub(crate) async fn read_state(&mut self) -> Result<DatabaseState, DatabaseError> {
        loop {
            match self.try_read_state().await {
                Ok(state) => return Ok(state),
                Err(error) => self.pause(error).await?,
            }
        }
    }

    /// Reads the state and, if the database is this system's, its schema, in one snapshot.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Unsupported`] if the schema cannot be parsed.
    pub(crate) async fn read_state_and_schema(
        &mut self,
    ) -> Result<(DatabaseState, Schema), DatabaseError> {
        loop {
            match self.try_read_state_and_schema().await {
                Ok(found) => return Ok(found),
                Err(DatabaseError::Failed(error)) => self.pause(error).await?,
                Err(error) => return Err(error),
            }
        }
    }

    async fn try_read_state_and_schema(
        &mut self,
    ) -> Result<(DatabaseState, Schema), DatabaseError> {
        execute(&mut self.connection, "begin").await?;
        let found = read_state_and_schema(&mut self.connection, self.application).await;
        self.rollback().await;
        found
    }

    async fn try_read_state(&mut self) -> Result<DatabaseState, sqlx::Error> {
        execute(&mut self.connection, "begin").await?;
        let state = history::read(&mut self.connection, self.application).await;
        self.rollback().await;
        state
    }

    /// Switches the database to write-ahead logging, so that services can read while the migrator
    /// writes. The mode is stored in the file.
    pub(crate) async fn enable_wal(&mut self) -> Result<(), DatabaseError> {
        loop {
            match self.try_enable_wal().await {
                Ok(mode) if mode == "wal" => return Ok(()),
                Ok(mode) => {
                    return Err(DatabaseError::NoWriteAheadLog {
                        database: self.database.as_path().into(),
                        mode,
                    });
                }
                Err(error) => self.pause(error).await?,
            }
        }
    }

    async fn try_enable_wal(&mut self) -> Result<String, sqlx::Error> {
        let mode: String = sqlx::query_scalar("pragma journal_mode")
            .fetch_one(&mut self.connection)
            .await?;
        if mode == "wal" {
            return Ok(mode);
        }
        sqlx::query_scalar("pragma journal_mode = wal")
            .fetch_one(&mut self.connection)
            .await
    }

    /// Begins the transaction of the run, and takes the write lock.
    pub(crate) async fn begin(&mut self) -> Result<(), DatabaseError> {
        let mut fair_lock = FairLock::new(&self.database);
        let mut attempts = self.backoff.attempts(&mut fair_lock);
        loop {
            attempts.next().await?;
            match execute(&mut self.connection, "begin immediate").await {
                Ok(()) => return Ok(()),
                Err(error) => tolerate_busy(&self.database, self.application, error)?,
            }
        }
    }

    /// Returns the connection, for the statements of the run's transaction.
    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    /// Commits the transaction of the run, and checks that the file is still at its path.
    pub(crate) async fn commit(&mut self) -> Result<(), DatabaseError> {
        // The write lock is held, and readers do not block a commit to the write-ahead log.
        execute(&mut self.connection, "commit").await?;
        if let Some(identity) = self.identity {
            identity.check(&self.database)?;
        }
        Ok(())
    }

    /// Rolls back the transaction.
    pub(crate) async fn rollback(&mut self) {
        // This fails if SQLite has rolled back already, or if the connection is lost.
        let _ = execute(&mut self.connection, "rollback").await;
    }

    /// Closes the connection. The last connection to a database checkpoints and removes its log.
    pub(crate) async fn close(self) {
        close(self.connection).await;
    }

    /// Pauses if another process is in the way, and returns any other error.
    async fn pause(&mut self, error: sqlx::Error) -> Result<(), DatabaseError> {
        pause(&mut self.backoff, &self.database, self.application, error).await
    }
}

/// Opens an empty database in memory, with the settings of a run.
pub(crate) async fn connect_in_memory() -> Result<SqliteConnection, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .in_memory(true)
        .foreign_keys(false)
        .disable_statement_logging();
    options.connect().await
}

/// Executes a statement without parameters.
pub(crate) async fn execute(
    connection: &mut SqliteConnection,
    statement: &'static str,
) -> Result<(), sqlx::Error> {
    sqlx::query(statement).execute(connection).await.map(drop)
}

/// Closes a connection. A failure is only logged, since everything is committed by now.
pub(crate) async fn close(connection: SqliteConnection) {
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "connection was not closed cleanly");
    }
}

async fn read_state_and_schema(
    connection: &mut SqliteConnection,
    application: Application,
) -> Result<(DatabaseState, Schema), DatabaseError> {
    let state = history::read(connection, application).await?;
    let schema = match state.identity {
        Identity::Ours => Schema::read(connection).await?,
        Identity::Empty | Identity::NoHistory | Identity::Foreign(_) => Schema::default(),
    };
    Ok((state, schema))
}

/// Pauses if another process is in the way, and returns any other error.
async fn pause(
    backoff: &mut LockBackoff,
    database: &Path,
    application: Application,
    error: sqlx::Error,
) -> Result<(), DatabaseError> {
    tolerate_busy(database, application, error)?;
    backoff.pause().await
}

/// Accepts the error that another process uses the database, and returns any other error.
fn tolerate_busy(
    database: &Path,
    application: Application,
    error: sqlx::Error,
) -> Result<(), DatabaseError> {
    match ResultCode::from(&error) {
        ResultCode::Busy => Ok(()),
        _ => Err(DatabaseError::from_sqlite(database, application, error)),
    }
}

/// Rejects the creation of a database beside the write-ahead log, or its index, of one that is missing.
/// They have commits that are lost with them, or a service has them open and would share them.
pub(crate) fn reject_leftover_log(database: &Path) -> Result<(), DatabaseError> {
    for suffix in ["-wal", "-shm"] {
        let mut log = database.as_os_str().to_owned();
        log.push(suffix);
        let log = PathBuf::from(log);
        if log.is_file() {
            return Err(DatabaseError::LogWithoutDatabase {
                database: database.into(),
                log,
            });
        }
    }
    Ok(())
}

/// Creates an empty file and its directory. An existing file is left alone.
///
/// The file has mode 0600 from the start, which SQLite copies to the log beside it.
pub(crate) fn create_file(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[tokio::test]
    async fn a_commit_into_a_moved_database_fails() {
        let directory = TempDir::new().unwrap();
        let database = directory.path().join("a.db");
        create_file(&database).unwrap();
        let backoff = LockBackoff::new(Duration::from_secs(30));
        let mut session = Session::open(&database, Application::PROJECT, backoff)
            .await
            .unwrap();
        session.enable_wal().await.unwrap();
        session.begin().await.unwrap();

        fs::rename(&database, database.with_extension("away")).unwrap();
        let committed = session.commit().await;

        assert!(
            matches!(committed, Err(DatabaseError::Replaced(_))),
            "{committed:?}"
        );
    }
}
