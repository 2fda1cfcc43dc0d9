//! The one connection of a run: how it is opened, how it waits for others, and its one
//! transaction. SQL stands here; what the history says is in [`history`].

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use database::sqlite::FairLock;
use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteSynchronous},
};

use crate::{
    sqlite::{history, lock_backoff::LockBackoff, result_code::ResultCode, schema::Schema},
    state::{
        error::DatabaseError,
        history::{DatabaseState, Identity},
    },
};

/// An open database.
#[derive(Debug)]
pub(crate) struct Session {
    connection: SqliteConnection,
    database: PathBuf,
    backoff: LockBackoff,
}

impl Session {
    /// Opens a file that is there.
    pub(crate) async fn open(
        database: &Path,
        mut backoff: LockBackoff,
    ) -> Result<Self, DatabaseError> {
        let options = SqliteConnectOptions::new()
            .filename(database)
            .create_if_missing(false)
            // Off before the transaction, since inside one SQLite ignores it: else a table
            // that is rebuilt takes the rows with it that refer to it. What they refer to
            // is checked before the end instead.
            .foreign_keys(false)
            // An upgrade that was reported is on the disk.
            .synchronous(SqliteSynchronous::Full)
            // We wait by ourselves.
            .busy_timeout(Duration::ZERO)
            .disable_statement_logging();
        let connection = loop {
            match options.connect().await {
                Ok(connection) => break connection,
                Err(error) => pause(&mut backoff, database, error).await?,
            }
        };
        Ok(Self {
            connection,
            database: database.to_owned(),
            backoff,
        })
    }

    /// Opens a database in memory in the place of a file that is not there, to see what a
    /// run would do.
    pub(crate) async fn open_in_memory(
        database: &Path,
        backoff: LockBackoff,
    ) -> Result<Self, DatabaseError> {
        Ok(Self {
            connection: connect_in_memory().await?,
            database: database.to_owned(),
            backoff,
        })
    }

    /// What the database says of itself now.
    pub(crate) async fn read_state(&mut self) -> Result<DatabaseState, DatabaseError> {
        loop {
            match self.try_read_state().await {
                Ok(state) => return Ok(state),
                Err(error) => self.pause(error).await?,
            }
        }
    }

    /// The same, with the schema of a database that is this system's.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Unsupported`] if it cannot be read.
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
        let found = read_state_and_schema(&mut self.connection).await;
        self.rollback().await;
        found
    }

    async fn try_read_state(&mut self) -> Result<DatabaseState, sqlx::Error> {
        execute(&mut self.connection, "begin").await?;
        let state = history::read(&mut self.connection).await;
        self.rollback().await;
        state
    }

    /// Gives the database a write-ahead log, if it has none: with it, services go on
    /// reading while a migrator writes. It is a property of the file and stays.
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

    /// Begins the transaction of the run, with the write lock taken.
    pub(crate) async fn begin(&mut self) -> Result<(), DatabaseError> {
        let mut fair_lock = FairLock::new(&self.database);
        let mut attempts = self.backoff.attempts(&mut fair_lock);
        loop {
            attempts.next().await?;
            match execute(&mut self.connection, "begin immediate").await {
                Ok(()) => return Ok(()),
                Err(error) => tolerate_busy(&self.database, error)?,
            }
        }
    }

    /// The connection, for what is done in the transaction of the run.
    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    /// Ends the transaction of the run, with all that was done.
    pub(crate) async fn commit(&mut self) -> Result<(), DatabaseError> {
        // With the lock taken and a write-ahead log there is nobody to wait for.
        execute(&mut self.connection, "commit").await?;
        Ok(())
    }

    /// Ends a transaction without what was done.
    pub(crate) async fn rollback(&mut self) {
        // It fails if SQLite has already undone all, and it did not begin at all if the
        // connection is lost.
        let _ = execute(&mut self.connection, "rollback").await;
    }

    /// Closes the database: the last one to do so empties and removes the log.
    pub(crate) async fn close(self) {
        close(self.connection).await;
    }

    /// Pauses if others are in the way.
    async fn pause(&mut self, error: sqlx::Error) -> Result<(), DatabaseError> {
        pause(&mut self.backoff, &self.database, error).await
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

/// Closes a connection. A failure is logged only: everything that matters is committed by now.
pub(crate) async fn close(connection: SqliteConnection) {
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "a connection was not closed cleanly");
    }
}

async fn read_state_and_schema(
    connection: &mut SqliteConnection,
) -> Result<(DatabaseState, Schema), DatabaseError> {
    let state = history::read(connection).await?;
    let schema = match state.identity {
        Identity::Ours => Schema::read(connection).await?,
        Identity::Empty | Identity::Unclaimed | Identity::Foreign(_) => Schema::default(),
    };
    Ok((state, schema))
}

/// Pauses if the error is that others are in the way; else returns it.
async fn pause(
    backoff: &mut LockBackoff,
    database: &Path,
    error: sqlx::Error,
) -> Result<(), DatabaseError> {
    tolerate_busy(database, error)?;
    backoff.pause().await
}

/// Accepts the error that another process uses the database, and returns any other one.
fn tolerate_busy(database: &Path, error: sqlx::Error) -> Result<(), DatabaseError> {
    match ResultCode::from(&error) {
        ResultCode::Busy => Ok(()),
        _ => Err(DatabaseError::from_sqlite(database, error)),
    }
}

/// Makes an empty file, and the folder that it is in.
///
/// Its mode is 0600 from the first moment, and SQLite gives the same to what it puts
/// beside it. A file that somebody made meanwhile is left alone.
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
