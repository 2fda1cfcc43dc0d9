//! SQLite as one service sees it: connections that read, one queue that writes, and the
//! wait for the database.
//!
//! It knows no table but the migrator's history.

mod access_rule;
mod action;
pub mod authorizer;
pub mod disk_space;
mod fair_lock;
mod ffi;
mod history;
mod idempotency_table;
mod inline_reads;
mod json;
mod read_source;
mod result_code;
pub mod sqlite_version;
mod startup;
mod time;
pub mod volume;
mod write_queue;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::future::BoxFuture;
use process::{ExitError, clock::Clock};
use sqlx::{
    ConnectOptions, Connection, Sqlite, SqliteConnection, SqlitePool,
    pool::PoolConnection,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::time::timeout;

pub use self::{
    action::{Action, ActionCode},
    fair_lock::{Acquire, FairLock},
    ffi::{BackupProgress, CommittedBackup, OnlineBackup, OnlineBackupError, error_offset},
    inline_reads::{DataVersion, Parameter, RowCursor, WrongType},
    json::{inserted_ids, json_param, json_param_with_capacity},
    read_source::ReadSource,
    result_code::none_on_constraint_violation,
    time::time,
    write_queue::{BatchOps, Batcher, InsertAll, InsertOne, WriteFn},
};
use self::{inline_reads::InlineReaders, write_queue::WriteQueue};
use crate::{AccessPolicy, Atomicity, Error, Lifecycle, Requirements, settings::DatabaseSettings};

/// What `PRAGMA application_id` says of a database of this system: `MBLG` in ASCII.
pub const APPLICATION_ID: i32 = 0x4D42_4C47;

/// How large the write-ahead log may stay on the disk once it is checkpointed: as it is by then,
/// and a large commit more. One long read can make it grow far beyond what the next ones need.
const JOURNAL_SIZE_LIMIT: &str = "134217728"; // bytes

/// After how many pages in the write-ahead log they are carried over into the file: 80 MB. All
/// writers wait for that, and most pages are in the log many times by then, so it is done seldom:
/// SQLite's 1000 cost a fifth of the rate of writes, and most of their p99. With these, fewer
/// than one in a hundred of writes waits. A larger log is more to read after a crash.
const WAL_AUTOCHECKPOINT_PAGES: &str = "20000"; // pages

/// How much of the database the connection that writes keeps in memory, which SQLite takes as a
/// negative number. A large batch changes more pages than the 500 that SQLite keeps by itself: those
/// that find no room are written to the log, read again and written again, which cost a fifth of
/// the rows a second.
const WRITER_CACHE_SIZE: &str = "-4096"; // KiB

/// A handle on the database. Copies of it are cheap and share its connections.
#[derive(Clone, Debug)]
pub struct Database {
    path: PathBuf,
    wait: Duration,
    read_pool_timeout: Duration,
    requirements: &'static Requirements,
    reads: SqlitePool,
    inline_readers: Arc<InlineReaders>,
    writes: WriteQueue,
}

impl Database {
    /// The database of a service in the file at `path`, which need not be there yet:
    /// [`Lifecycle::ready`] waits for it, and only then is it read or written.
    #[must_use]
    pub fn new(
        path: &Path,
        settings: &DatabaseSettings,
        requirements: &'static Requirements,
    ) -> Self {
        Self {
            path: path.to_owned(),
            wait: settings.database_startup_timeout,
            read_pool_timeout: settings.read_pool_timeout,
            requirements,
            reads: read_pool(path, settings, requirements.access),
            inline_readers: Arc::new(InlineReaders::new(
                path.to_owned(),
                requirements.access,
                settings.inline_reads,
            )),
            writes: WriteQueue::new(settings),
        }
    }

    /// A connection for reading. It must not be held across anything but the reading:
    /// there are few.
    ///
    /// # Errors
    ///
    /// [`Error::Overloaded`] if none is free for as long as a read may wait.
    pub async fn reader(&self) -> Result<PoolConnection<Sqlite>, Error> {
        Ok(self.acquire().await?)
    }

    /// Reads several statements in one snapshot.
    ///
    /// # Errors
    ///
    /// [`Error::Overloaded`] if no connection is free for as long as a read may wait, and what
    /// `read` fails with.
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

    /// Acquires a connection of the read pool. The future is boxed because few callers wait for
    /// one: it has some thousand bytes, which the future of every call that might read here would
    /// carry along.
    fn acquire(&self) -> BoxFuture<'_, Result<PoolConnection<Sqlite>, sqlx::Error>> {
        Box::pin(self.reads.acquire())
    }

    /// Does `work` in a transaction, together with what others want written at the same
    /// time, and returns when it is on the disk.
    ///
    /// If the caller goes away before its turn comes, nothing is done; afterwards it is
    /// done all the same.
    ///
    /// # Errors
    ///
    /// What the work was refused for; or [`Error::Overloaded`] at once if the queue is
    /// full, [`Error::DiskFull`] if the disk is, [`Error::Busy`] if another process kept the
    /// database locked,
    /// [`Error::ShuttingDown`] after [`Lifecycle::close`], and [`Error::Engine`] if the
    /// work or its COMMIT failed. In all of them nothing was written.
    pub async fn write<T, E, W>(&self, atomicity: Atomicity, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        W: WriteFn<T, E>,
    {
        self.writes.push(atomicity, work).await
    }

    /// Returns a batcher of writes of one type, which executes them at the time that the clock
    /// then tells.
    #[must_use]
    pub fn batcher<I, T, E>(&self, ops: BatchOps<I, T, E>, clock: Clock) -> Batcher<I, T, E> {
        Batcher::new(self.writes.clone(), ops, clock)
    }

    /// How a connection is opened that writes.
    fn write_options(&self) -> SqliteConnectOptions {
        options(self.path.clone())
            // What is acknowledged survives the loss of power.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            // SQLite's own wait starves one of two busy processes: the queue waits itself.
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

    async fn close(&self) {
        self.inline_readers.close();
        // The last connection to close empties the log into the file and removes it, which
        // one that only reads cannot do.
        if timeout(self.read_pool_timeout, self.reads.close())
            .await
            .is_err()
        {
            tracing::warn!("a read still runs; its connection is left behind");
        }
        self.writes.close().await;
    }
}

/// Few connections that cannot write, opened when they are needed and kept.
fn read_pool(
    path: &Path,
    settings: &DatabaseSettings,
    access: &'static AccessPolicy,
) -> SqlitePool {
    let count = u32::try_from(settings.max_read_connections.get()).unwrap_or(u32::MAX);
    let options = options(path.to_owned())
        .read_only(true)
        // Readers wait for others only while a log is recovered after a crash.
        .busy_timeout(settings.read_pool_timeout);
    SqlitePoolOptions::new()
        .max_connections(count)
        .acquire_timeout(settings.read_pool_timeout)
        // A connection is a file in this process: it does not go stale, and asking it
        // whether it is alive costs as much as a read.
        .test_before_acquire(false)
        // A call that waits has a line in the log of its own.
        .acquire_slow_threshold(Duration::MAX)
        .idle_timeout(None)
        .max_lifetime(None)
        .after_connect(move |connection, _| Box::pin(access.install(connection)))
        .connect_lazy_with(options)
}

/// What all connections have in common. Only the migrator creates the file and sets its
/// journal mode.
fn options(path: PathBuf) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .disable_statement_logging()
}
