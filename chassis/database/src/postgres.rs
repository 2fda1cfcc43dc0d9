//! The PostgreSQL database of one service: pools of connections, transactions with retries, batches
//! of creations, and the checks at startup.
//!
//! It knows no table except the history of the migrator. A task owns each connection until its
//! transaction has ended: a caller that drops its future cannot leave a transaction open.

mod batcher;
mod failure;
mod idempotency_table;
mod startup;
mod transaction;
mod url;

use std::{sync::Arc, time::Duration};

use process::{Background, ExitError, clock::Clock};
use sqlx::postgres::PgPoolOptions;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::transaction::Runner;
pub use self::{
    batcher::{BatchOps, Batcher, InsertAll, InsertOne, Lock},
    failure::{constraint, none_on_constraint_violation},
    transaction::{Transaction, Work},
    url::PostgresUrl,
};
use crate::{
    Error, Lifecycle, Requirements, settings::DatabaseSettings, stored_responses::StoredResponses,
};

/// The age at which a connection is replaced, so that changes of DNS and of roles take effect.
const MAX_CONNECTION_LIFETIME: Duration = Duration::from_mins(30);

/// A handle on the database. Clones are cheap and share its connections.
#[derive(Clone, Debug)]
pub struct Database {
    url: PostgresUrl,
    startup_timeout: Duration,
    requirements: &'static Requirements,
    /// The login is a member of all roles, and each transaction sets the role.
    set_role: bool,
    reads: Runner,
    writes: Runner,
    /// Has one connection: the batches of one process would only wait for each other.
    batches: Runner,
    /// The permits of the writes that wait or run.
    permits: Arc<Semaphore>,
    max_write_batch: usize,
    stored_responses: StoredResponses,
    tasks: TaskTracker,
    closing: CancellationToken,
    background: Background,
    /// Always `true`: calls fail one by one while the server cannot be reached.
    available: watch::Sender<bool>,
}

impl Database {
    /// Returns a handle on the database at `url`, which may not exist yet. Only [`Lifecycle::ready`]
    /// connects to it, and waits for it.
    #[must_use]
    pub fn new(
        url: &PostgresUrl,
        settings: &DatabaseSettings,
        requirements: &'static Requirements,
    ) -> Self {
        let runner = |connections: usize, wait: Duration| {
            let pool = PgPoolOptions::new()
                .max_connections(u32::try_from(connections).unwrap_or(u32::MAX))
                .acquire_timeout(wait)
                .max_lifetime(MAX_CONNECTION_LIFETIME)
                .idle_timeout(None)
                // A connection that failed is closed, so a pooled one works, and the test costs as
                // much as a read.
                .test_before_acquire(false)
                .acquire_slow_threshold(Duration::MAX)
                .connect_lazy_with(url.options());
            Runner::new(pool, settings, requirements.role)
        };
        let (reads, writes) = (
            settings.max_read_connections,
            settings.max_write_connections,
        );
        let permits = settings.write_queue_capacity.get();
        Self {
            url: url.clone(),
            startup_timeout: settings.database_startup_timeout,
            requirements,
            set_role: settings.set_role,
            reads: runner(reads.get(), settings.read_pool_timeout),
            writes: runner(writes.get(), settings.lock_timeout),
            batches: runner(1, settings.lock_timeout),
            permits: Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS))),
            max_write_batch: settings.max_write_batch.get(),
            stored_responses: StoredResponses::new(settings.max_stored_response_bytes),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            background: Background::new("the database writer"),
            available: watch::Sender::new(true),
        }
    }

    /// Executes a read of one statement, or of several that need no common snapshot.
    ///
    /// # Errors
    ///
    /// Those of `read`; [`Error::Overloaded`] if no connection becomes free within
    /// `READ_POOL_TIMEOUT`; [`Error::Busy`] if the database cannot be reached; and
    /// [`Error::Engine`].
    pub async fn read<T, E>(&self, read: impl Work<T, E>) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.spawn(&self.reads, Transaction::None, None, read).await
    }

    /// Executes several reads in one snapshot.
    ///
    /// # Errors
    ///
    /// Those of [`Database::read`].
    pub async fn snapshot<T, E>(&self, read: impl Work<T, E>) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.spawn(&self.reads, Transaction::Snapshot, None, read)
            .await
    }

    /// Executes `work` in a transaction, and returns after its COMMIT. The transaction is retried if
    /// it fails before its COMMIT, so `work` may be executed several times.
    ///
    /// If the caller drops the future, the transaction still runs to its end.
    ///
    /// # Errors
    ///
    /// The rejection of the write; [`Error::Overloaded`] if too many writes wait; [`Error::Busy`] if
    /// a lock or a connection could not be had within `LOCK_TIMEOUT`; [`Error::OutcomeUnknown`] if
    /// the connection was lost during the COMMIT and `transaction` cannot resolve it;
    /// [`Error::ShuttingDown`] after [`Lifecycle::close`]; and [`Error::Engine`]. Nothing is written
    /// in any of these cases, except perhaps if the outcome is unknown.
    pub async fn write<T, E>(&self, transaction: Transaction, work: impl Work<T, E>) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let permit = self.permit()?;
        self.spawn(&self.writes, transaction, Some(permit), work)
            .await
    }

    /// Returns a batcher of writes of one type. The clock gives the time at which a batch is executed.
    #[must_use]
    pub fn batcher<I, T, E>(&self, ops: BatchOps<I, T, E>, clock: Clock) -> Batcher<I, T, E>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        Batcher::new(self, ops, clock)
    }

    /// Returns the limit on the responses that idempotency records store.
    #[must_use]
    pub fn stored_responses(&self) -> StoredResponses {
        self.stored_responses.clone()
    }

    /// Acquires a permit for one more write.
    fn permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        if self.closing.is_cancelled() {
            return Err(Error::ShuttingDown);
        }
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        permit.map_err(|_| Error::Overloaded)
    }

    /// Executes `work` in a task, which owns the connection until the transaction has ended.
    async fn spawn<T, E>(
        &self,
        runner: &Runner,
        transaction: Transaction,
        permit: Option<OwnedSemaphorePermit>,
        work: impl Work<T, E>,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (reply, result) = oneshot::channel();
        let runner = runner.clone();
        self.tasks.spawn(async move {
            let abandoned = || reply.is_closed();
            let result = runner.run(transaction, &work, abandoned).await;
            drop(permit);
            // The caller may be gone.
            let _ = reply.send(result);
        });
        // The task is dropped without a reply only at the end of the process.
        result.await.unwrap_or(Err(Error::ShuttingDown.into()))
    }
}

impl Lifecycle for Database {
    async fn ready(&self) -> Result<(), ExitError> {
        self.start().await
    }

    fn available(&self) -> watch::Receiver<bool> {
        self.available.subscribe()
    }

    async fn writer_failed(&self) -> ExitError {
        self.background.failed().await
    }

    async fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        for runner in [&self.reads, &self.writes, &self.batches] {
            runner.close().await;
        }
    }
}
