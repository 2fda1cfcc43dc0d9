//! The SQLite database of one service: read connections, a queue of writes, and the wait for the
//! database at startup.
//!
//! It knows no table except the history of the migrator. All writes go through one connection: one
//! writer task cannot contend with itself for SQLite's write lock.

mod access_rule;
mod action;
pub mod authorizer;
pub mod disk_space;
mod fair_lock;
mod ffi;
mod file_guard;
mod history;
mod idempotency_table;
mod inline_reads;
mod json;
mod open_files;
mod read_connections;
mod read_source;
mod result_code;
pub mod sqlite_version;
mod startup;
mod time;
pub mod volume;
mod write_queue;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use process::{ExitError, clock::Clock};
use sqlx::{
    ConnectOptions, Connection, Sqlite, SqliteConnection,
    pool::PoolConnection,
    sqlite::{SqliteConnectOptions, SqliteSynchronous},
};
use tokio::sync::watch;

pub use self::{
    action::{Action, ActionCode},
    fair_lock::{Acquire, FairLock},
    ffi::{BackupProgress, CommittedBackup, OnlineBackup, OnlineBackupError, error_offset},
    inline_reads::{DataVersion, Parameter, RowCursor, WrongType},
    json::{inserted_ids, json_param, json_param_with_capacity},
    open_files::{FileChange, FileIdentity},
    read_source::ReadSource,
    result_code::none_on_constraint_violation,
    time::time,
    write_queue::{BatchOps, Batcher, InsertAll, InsertOne, WriteFn},
};
use self::{read_connections::ReadConnections, write_queue::WriteQueue};
use crate::{
    Atomicity, Error, Lifecycle, Requirements, settings::DatabaseSettings,
    stored_responses::StoredResponses,
};

/// The `PRAGMA application_id` of a database of this system: `MBLG` in ASCII.
pub const APPLICATION_ID: i32 = 0x4D42_4C47;

/// The size to which SQLite truncates the write-ahead log (WAL) after a checkpoint. It is the size of
/// the WAL at a regular checkpoint, plus a large commit. Without a limit, the WAL would keep the
/// size to which one long read let it grow.
const JOURNAL_SIZE_LIMIT: &str = "134217728"; // bytes

/// The number of pages in the WAL, 80 MB, at which they are copied into the database file. All writers
/// wait for this checkpoint, and by then the WAL holds many versions of most pages. SQLite's
/// default of 1000 pages costs 20 % of the write rate, and most of the p99 latency. With 20000 pages
/// fewer than 1 % of the writes wait. The cost is a longer recovery after a crash.
const WAL_AUTOCHECKPOINT_PAGES: &str = "20000"; // pages

/// The page cache of the write connection. SQLite takes a negative number as KiB. A large batch changes
/// more than the 500 pages of SQLite's default. Pages that do not fit are written to the WAL, read
/// back and written again, which costs 20 % of the rows per second.
const WRITER_CACHE_SIZE: &str = "-4096"; // KiB

/// A handle on the database. Clones are cheap and share its connections.
#[derive(Clone, Debug)]
pub struct Database {
    path: PathBuf,
    startup_timeout: Duration,
    requirements: &'static Requirements,
    reads: ReadConnections,
    writes: WriteQueue,
    stored_responses: StoredResponses,
}

impl Database {
    /// Returns a handle on the file at `path`, which may not exist yet. It is opened only by
    /// [`Lifecycle::ready`], which waits for it.
    #[must_use]
    pub fn new(
        path: &Path,
        settings: &DatabaseSettings,
        requirements: &'static Requirements,
    ) -> Self {
        let (in_place, receiver) = watch::channel(true);
        let stored_responses = StoredResponses::new(settings.max_stored_response_bytes);
        Self {
            path: path.to_owned(),
            startup_timeout: settings.database_startup_timeout,
            requirements,
            reads: ReadConnections::new(path, settings, requirements.access, receiver),
            writes: WriteQueue::new(settings, in_place, stored_responses.clone()),
            stored_responses,
        }
    }

    /// Acquires a read connection. The caller must hold it only while it reads, since the pool is
    /// small.
    ///
    /// # Errors
    ///
    /// [`Error::Overloaded`] if no connection becomes free within `READ_POOL_TIMEOUT`, and
    /// [`Error::Replaced`].
    pub async fn reader(&self) -> Result<PoolConnection<Sqlite>, Error> {
        Ok(self.reads.acquire().await?)
    }

    /// Executes several reads in one snapshot.
    ///
    /// # Errors
    ///
    /// [`Error::Overloaded`] if no connection becomes free within `READ_POOL_TIMEOUT`,
    /// [`Error::Replaced`], and the errors of `read`.
    pub async fn snapshot<T>(
        &self,
        read: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Error> {
        let mut reader = self.reader().await?;
        let mut snapshot = reader.begin().await?;
        let read = read(&mut snapshot).await?;
        snapshot.rollback().await?;
        Ok(read)
    }

    /// Executes `work` in a transaction with other queued writes, and returns after its COMMIT.
    ///
    /// If the caller drops the future while the write is queued, the write is not executed. Later it
    /// is executed anyway.
    ///
    /// # Errors
    ///
    /// The rejection of the write; [`Error::Overloaded`] immediately if the queue is full;
    /// [`Error::DiskFull`]; [`Error::Busy`] if another process held the lock for `LOCK_TIMEOUT`;
    /// [`Error::ShuttingDown`] after [`Lifecycle::close`]; and [`Error::Engine`] if a statement or
    /// the COMMIT failed. Nothing is written in any of these cases. [`Error::Replaced`] if the file
    /// that was written is not at the path of the database any more.
    pub async fn write<T, E, W>(&self, atomicity: Atomicity, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        W: WriteFn<T, E>,
    {
        self.writes.push(atomicity, work).await
    }

    /// Returns a batcher of writes of one type. The clock gives the time at which a batch is executed.
    #[must_use]
    pub fn batcher<I, T, E>(&self, ops: BatchOps<I, T, E>, clock: Clock) -> Batcher<I, T, E> {
        Batcher::new(self.writes.clone(), ops, clock)
    }

    /// Returns the limit on the stored responses of the service.
    #[must_use]
    pub fn stored_responses(&self) -> StoredResponses {
        self.stored_responses.clone()
    }

    /// Returns the options of the write connection.
    fn write_options(&self) -> SqliteConnectOptions {
        options(self.path.clone())
            // An acknowledged write survives a loss of power.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            // The queue polls the lock itself: SQLite's busy handler starves one of two processes.
            .busy_timeout(Duration::ZERO)
            .pragma("journal_size_limit", JOURNAL_SIZE_LIMIT)
            .pragma("wal_autocheckpoint", WAL_AUTOCHECKPOINT_PAGES)
            .pragma("cache_size", WRITER_CACHE_SIZE)
    }
}

impl Lifecycle for Database {
    async fn ready(&self) -> Result<(), ExitError> {
        self.start().await
    }

    async fn writer_failed(&self) -> ExitError {
        self.writes.failed().await
    }

    fn available(&self) -> watch::Receiver<bool> {
        self.reads.in_place.clone()
    }

    async fn close(&self) {
        // The last connection to close checkpoints and removes the WAL, which a read-only
        // connection cannot do. So close the write connection last.
        self.reads.close().await;
        self.writes.close().await;
    }
}

/// Returns the common options of all connections. Only the migrator creates the file and sets its
/// journal mode.
fn options(path: PathBuf) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .disable_statement_logging()
}
