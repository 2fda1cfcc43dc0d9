//! The queue of writes. The writer task commits all writes that queued up during the previous commit
//! in one transaction (group commit). A caller gets its result only after COMMIT.
//!
//! Each process has one writer task with one connection. Between processes the fair lock decides
//! which one writes next, and SQLite's lock protects the data. The queue polls SQLite's lock itself,
//! since SQLite's busy handler starves one of two busy writers.

mod batch;
mod batch_budget;
mod batcher;
mod connection;

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use process::{Background, ExitError};
use sqlx::{SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::{
    sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    task::yield_now,
    time::{MissedTickBehavior, interval},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::batch::{Job, WriteJob, commit};
use self::batch_budget::BatchBudget;
pub use self::batcher::{BatchOps, Batcher, InsertAll, InsertOne};
use self::connection::WriterConnection;
use super::{
    disk_space::DiskSpaceGuard, fair_lock::FairLock, file_guard::FileGuard, open_files::OpenFiles,
    read_connections::ReadConnections,
};
use crate::{
    AccessPolicy, Atomicity, Error, WriteError, settings::DatabaseSettings,
    stored_responses::StoredResponses,
};

/// The interval at which the files of the database are compared with the open ones, besides after
/// each COMMIT. It is the longest time in which reads of a replaced database go unnoticed.
const FILE_CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// A function that executes the statements of a write on a connection with an open transaction. The
/// caller of the write gets its result after COMMIT.
pub trait WriteFn<T, E>:
    for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, WriteError<E>>> + Send + 'static
{
}

impl<T, E, W> WriteFn<T, E> for W where
    W: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, WriteError<E>>>
        + Send
        + 'static
{
}

/// The permit of a write to wait in the queue, released when the writer task takes the write.
type QueuePermit = OwnedSemaphorePermit;

/// The receiving end of the queue.
type JobReceiver = mpsc::Receiver<Box<dyn Job>>;

/// The sending end of the queue. Clones share the queue.
#[derive(Clone, Debug)]
pub(super) struct WriteQueue {
    // Each queued job holds at least one of the permits.
    jobs: mpsc::Sender<Box<dyn Job>>,
    permits: Arc<Semaphore>,
    // The receiving end, until the writer task starts.
    unstarted: Arc<Mutex<Option<JobReceiver>>>,
    closing: CancellationToken,
    task: TaskTracker,
    background: Background,
    // The limits of one transaction.
    budget: BatchBudget,
    lock_timeout: Duration,
    min_free_bytes: u64,
    // `false` while the files of the database are not those that were opened.
    in_place: watch::Sender<bool>,
    stored_responses: StoredResponses,
}

impl WriteQueue {
    /// Returns a queue whose writer task is not started. The task sends to `in_place`.
    pub(super) fn new(
        settings: &DatabaseSettings,
        in_place: watch::Sender<bool>,
        stored_responses: StoredResponses,
    ) -> Self {
        let permits = settings
            .write_queue_capacity
            .get()
            .min(Semaphore::MAX_PERMITS);
        let (jobs, unstarted) = mpsc::channel(permits);
        Self {
            jobs,
            permits: Arc::new(Semaphore::new(permits)),
            unstarted: Arc::new(Mutex::new(Some(unstarted))),
            closing: CancellationToken::new(),
            task: TaskTracker::new(),
            background: Background::new("the database writer"),
            budget: BatchBudget::new(settings.max_write_batch.get()),
            lock_timeout: settings.lock_timeout,
            min_free_bytes: settings.min_free_disk_bytes,
            in_place,
            stored_responses,
        }
    }

    /// Starts the writer task on `connection`, which has `files` open. A second call has no effect.
    /// The task closes `reads` if the database is replaced.
    pub(super) async fn start(
        &self,
        connection: SqliteConnection,
        files: OpenFiles,
        options: SqliteConnectOptions,
        access: &'static AccessPolicy,
        reads: ReadConnections,
    ) {
        let Some(jobs) = self.unstarted.lock().await.take() else {
            return;
        };
        let files = FileGuard::new(files, self.in_place.clone());
        let writer = Writer {
            jobs,
            next: None,
            budget: self.budget,
            lock_timeout: self.lock_timeout,
            disk_space: DiskSpaceGuard::new(options.get_filename(), self.min_free_bytes),
            fair_lock: FairLock::new(options.get_filename()),
            stored_responses: self.stored_responses.clone(),
            connection: WriterConnection::new(connection, options, access, files),
            reads,
        };
        let task = writer.run(self.closing.clone());
        self.task.spawn(self.background.supervised(task));
    }

    /// Queues a write and waits for its COMMIT.
    pub(super) async fn push<T, E, W>(&self, atomicity: Atomicity, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        W: WriteFn<T, E>,
    {
        let permit = self.permit()?;
        let (reply, result) = oneshot::channel();
        self.send(Box::new(WriteJob::new(atomicity, work, permit, reply)))?;
        // The job is dropped without a reply only if the queue is dropped at the end of the process.
        result.await.unwrap_or(Err(Error::ShuttingDown.into()))
    }

    /// Acquires a permit for one more write, unless the queue is full.
    fn permit(&self) -> Result<QueuePermit, Error> {
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        permit.map_err(|_| Error::Overloaded)
    }

    fn send(&self, job: Box<dyn Job>) -> Result<(), Error> {
        self.jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Overloaded,
            mpsc::error::TrySendError::Closed(_) => Error::ShuttingDown,
        })
    }

    /// Waits until the writer task panics.
    pub(super) async fn failed(&self) -> ExitError {
        self.background.failed().await
    }

    /// Closes the queue, and waits until all queued writes are executed.
    pub(super) async fn close(&self) {
        self.closing.cancel();
        // If the task never started, dropping the queued jobs fails their callers.
        drop(self.unstarted.lock().await.take());
        self.task.close();
        self.task.wait().await;
    }
}

/// The writer task, which executes the queued jobs.
struct Writer {
    jobs: JobReceiver,
    // The job that exceeded the budget of the previous transaction.
    next: Option<Box<dyn Job>>,
    budget: BatchBudget,
    lock_timeout: Duration,
    disk_space: DiskSpaceGuard,
    fair_lock: FairLock,
    stored_responses: StoredResponses,
    connection: WriterConnection,
    reads: ReadConnections,
}

impl Writer {
    async fn run(mut self, closing: CancellationToken) {
        let mut batch = Vec::new();
        let mut file_checks = interval(FILE_CHECK_INTERVAL);
        file_checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.next.is_none() {
                self.next = tokio::select! {
                    biased;
                    _ = file_checks.tick() => {
                        self.connection.check_files(&self.reads).await;
                        continue;
                    }
                    job = self.jobs.recv() => job,
                    () = closing.cancelled(), if !self.jobs.is_closed() => {
                        // The channel rejects new jobs, and still returns the queued ones.
                        self.jobs.close();
                        continue;
                    }
                };
            }
            if self.next.is_none() {
                break;
            }
            // Callers of the previous batch send their next writes within one runtime tick. Yield
            // once so that this batch includes all of them; otherwise the late ones would wait for
            // an extra commit.
            yield_now().await;
            self.fill(&mut batch);
            batch.retain_mut(|job| !job.drop_cancelled());
            if !batch.is_empty() {
                self.commit(&mut batch).await;
            }
        }
        self.connection.close().await;
    }

    /// Moves jobs from the queue to the batch, up to the budget of one transaction. The last job
    /// gets the rest of the budget, so that more writes can join it.
    fn fill(&mut self, batch: &mut Vec<Box<dyn Job>>) {
        let mut budget = self.budget;
        while let Some(mut job) = self.next.take().or_else(|| self.jobs.try_recv().ok()) {
            if !job.admit(&mut budget) {
                self.next = Some(job);
                break;
            }
            batch.push(job);
        }
        if let Some(last) = batch.last_mut() {
            last.reopen(budget);
        }
    }

    /// Commits the batch, or fails it if the database is not in place or the disk is full.
    async fn commit(&mut self, batch: &mut Vec<Box<dyn Job>>) {
        let in_place = self.connection.files.in_place();
        match in_place.and_then(|()| self.disk_space.check()) {
            Ok(()) => {
                self.stored_responses.begin_transaction();
                let result = commit(
                    &mut self.connection,
                    &mut self.fair_lock,
                    batch,
                    self.lock_timeout,
                )
                .await;
                self.disk_space.record_result(&result);
            }
            Err(error) => batch.drain(..).for_each(|job| job.fail(error.clone())),
        }
    }
}
