//! The one connection of a run: how it is opened, how it waits for others, and its one
//! transaction. SQL stands here; what the history says is in [`history`].

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteSynchronous},
};

use crate::{
    error::Error,
    history::{self, View},
    migrations::{Direction, Migration},
    wait::Wait,
};

/// An open database.
#[derive(Debug)]
pub(crate) struct Session {
    connection: SqliteConnection,
    database: PathBuf,
    wait: Wait,
    /// Whether a COMMIT may succeed: only the one that ends the run.
    may_commit: Arc<AtomicBool>,
}

impl Session {
    /// Opens a file that is there.
    pub(crate) async fn open(database: &Path, mut wait: Wait) -> Result<Self, Error> {
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
                Err(error) => pause(&mut wait, database, error).await?,
            }
        };
        let may_commit = Arc::default();
        Ok(Self {
            connection,
            database: database.to_owned(),
            wait,
            may_commit,
        })
    }

    /// What the database says of itself now.
    pub(crate) async fn look(&mut self) -> Result<View, Error> {
        loop {
            match self.try_to_look().await {
                Ok(view) => return Ok(view),
                Err(error) => self.pause(error).await?,
            }
        }
    }

    async fn try_to_look(&mut self) -> Result<View, sqlx::Error> {
        sqlx::query("begin").execute(&mut self.connection).await?;
        let view = history::view(&mut self.connection).await;
        self.rollback().await;
        view
    }

    /// Gives the database a write-ahead log, if it has none: with it, services go on
    /// reading while a migrator writes. It is a property of the file and stays.
    pub(crate) async fn enter_wal(&mut self) -> Result<(), Error> {
        loop {
            match self.try_to_enter_wal().await {
                Ok(mode) if mode == "wal" => return Ok(()),
                Ok(mode) => {
                    return Err(Error::NoWriteAheadLog {
                        database: self.database.clone(),
                        mode,
                    });
                }
                Err(error) => self.pause(error).await?,
            }
        }
    }

    async fn try_to_enter_wal(&mut self) -> Result<String, sqlx::Error> {
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
    ///
    /// From here on nothing but [`Session::commit`] commits: a script that says COMMIT
    /// fails, and SQLite undoes all.
    pub(crate) async fn begin(&mut self) -> Result<(), Error> {
        let may_commit = Arc::clone(&self.may_commit);
        self.connection
            .lock_handle()
            .await?
            .set_commit_hook(move || may_commit.load(Ordering::Acquire));
        loop {
            match sqlx::query("begin immediate")
                .execute(&mut self.connection)
                .await
            {
                Ok(_) => return Ok(()),
                Err(error) => self.pause(error).await?,
            }
        }
    }

    /// What the database says of itself in the transaction of the run.
    pub(crate) async fn view(&mut self) -> Result<View, Error> {
        Ok(history::view(&mut self.connection).await?)
    }

    /// Makes the database this system's, with an empty history.
    pub(crate) async fn create(&mut self) -> Result<(), Error> {
        Ok(history::create(&mut self.connection).await?)
    }

    /// Applies or undoes one migration, and says how long its script took.
    pub(crate) async fn step(
        &mut self,
        migration: &Migration,
        direction: Direction,
    ) -> Result<Duration, Error> {
        self.try_step(migration, direction)
            .await
            .map_err(|source| Error::Script {
                number: migration.number(),
                name: migration.name().to_owned(),
                direction,
                source,
            })
    }

    async fn try_step(
        &mut self,
        migration: &Migration,
        direction: Direction,
    ) -> Result<Duration, sqlx::Error> {
        let connection = &mut self.connection;
        let began = Instant::now();
        // A script that ends the transaction and begins another takes the savepoint with
        // it, and RELEASE fails.
        sqlx::query("savepoint migration")
            .execute(&mut *connection)
            .await?;
        // It was compiled in, so it is as trusted as this code.
        sqlx::raw_sql(AssertSqlSafe(migration.script(direction)))
            .execute(&mut *connection)
            .await?;
        sqlx::query("release migration")
            .execute(&mut *connection)
            .await?;
        let elapsed = began.elapsed();
        match direction {
            Direction::Up => history::record(connection, migration, elapsed).await?,
            Direction::Down => history::erase(connection, migration).await?,
        }
        Ok(elapsed)
    }

    /// Refuses a database in which a row refers to one that is not there.
    pub(crate) async fn check_references(&mut self) -> Result<(), Error> {
        let orphan: Option<(String, Option<i64>, String, i64)> =
            sqlx::query_as("pragma foreign_key_check")
                .fetch_optional(&mut self.connection)
                .await?;
        match orphan {
            None => Ok(()),
            Some((table, row, parent, _)) => Err(Error::Orphan { table, row, parent }),
        }
    }

    /// Ends the transaction of the run, with all that was done.
    pub(crate) async fn commit(&mut self) -> Result<(), Error> {
        self.may_commit.store(true, Ordering::Release);
        // With the lock taken and a write-ahead log there is nobody to wait for.
        sqlx::query("commit").execute(&mut self.connection).await?;
        Ok(())
    }

    /// Ends a transaction without what was done.
    pub(crate) async fn rollback(&mut self) {
        // It fails if SQLite has already undone all, and it did not begin at all if the
        // connection is lost.
        let _ = sqlx::query("rollback").execute(&mut self.connection).await;
    }

    /// Closes the database: the last one to do so empties and removes the log.
    pub(crate) async fn close(self) {
        // All that matters is committed by now.
        if let Err(error) = self.connection.close().await {
            tracing::debug!(%error, "the database was not closed in order");
        }
    }

    /// Pauses if others are in the way.
    async fn pause(&mut self, error: sqlx::Error) -> Result<(), Error> {
        pause(&mut self.wait, &self.database, error).await
    }
}

/// Pauses if the error is that others are in the way; else returns it.
async fn pause(wait: &mut Wait, database: &Path, error: sqlx::Error) -> Result<(), Error> {
    // The primary result code: the low byte, see <https://sqlite.org/rescode.html>.
    let code = error
        .as_database_error()
        .and_then(|error| error.code()?.parse::<i32>().ok())
        .map(|code| code & 0xFF);
    match code {
        // SQLITE_BUSY, and SQLITE_PROTOCOL: too many begin to use the log at once.
        Some(5 | 15) => wait.pause().await,
        // SQLITE_CANTOPEN.
        Some(14) => Err(Error::Unusable {
            database: database.to_owned(),
            source: Box::new(error),
        }),
        // SQLITE_NOTADB.
        Some(26) => Err(Error::Foreign {
            database: database.to_owned(),
            why: "it is no SQLite database".into(),
        }),
        _ => Err(Error::Database(error)),
    }
}
