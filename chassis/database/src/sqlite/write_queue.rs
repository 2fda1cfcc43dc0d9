//! The queue of writes: what has gathered while the disk was busy is committed together
//! (group commit), and everybody is answered only after COMMIT.
//!
//! One task and one connection in each process. Between processes the fair lock decides which is
//! next, and SQLite's lock protects the data. SQLite's own wait for it starves one of two busy
//! writers, so the queue waits itself.

mod batch;
mod batch_budget;
mod batcher;

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use process::{Background, ExitError};
use sqlx::{SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::{
    sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    task::yield_now,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::batch::{Job, WriteJob, commit};
use self::batch_budget::BatchBudget;
pub use self::batcher::{BatchOps, Batcher, InsertAll, InsertOne};
use super::{disk_space::DiskSpaceGuard, fair_lock::FairLock};
use crate::{AccessPolicy, Atomicity, Error, WriteError, settings::DatabaseSettings};

/// A piece of writing: runs its statements on the connection that it is given, within a
/// transaction that is begun and ended for it. What it returns goes to the caller.
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

/// A place in the queue, which a write has until the writer takes it.
type QueuePermit = OwnedSemaphorePermit;

/// The end of the queue that the writer drains.
type JobReceiver = mpsc::Receiver<Box<dyn Job>>;

/// The end of the queue that callers hold.
#[derive(Clone, Debug)]
pub(super) struct WriteQueue {
    // Each of them has one of the permits at least.
    jobs: mpsc::Sender<Box<dyn Job>>,
    permits: Arc<Semaphore>,
    // The other end, until the task that drains it starts.
    idle: Arc<Mutex<Option<JobReceiver>>>,
    closing: CancellationToken,
    task: TaskTracker,
    background: Background,
    // What is committed together.
    budget: BatchBudget,
    wait: Duration,
    min_free_bytes: u64,
}

impl WriteQueue {
    /// A queue that is not yet drained.
    pub(super) fn new(settings: &DatabaseSettings) -> Self {
        let permits = settings
            .write_queue_capacity
            .get()
            .min(Semaphore::MAX_PERMITS);
        let (jobs, waiting) = mpsc::channel(permits);
        Self {
            jobs,
            permits: Arc::new(Semaphore::new(permits)),
            idle: Arc::new(Mutex::new(Some(waiting))),
            closing: CancellationToken::new(),
            task: TaskTracker::new(),
            background: Background::new("the database writer"),
            budget: BatchBudget::new(settings.max_write_batch.get()),
            wait: settings.lock_timeout,
            min_free_bytes: settings.min_free_disk_bytes,
        }
    }

    /// Starts the task that drains it over `connection`. Only the first call does.
    pub(super) async fn start(
        &self,
        connection: SqliteConnection,
        options: SqliteConnectOptions,
        access: &'static AccessPolicy,
    ) {
        let Some(jobs) = self.idle.lock().await.take() else {
            return;
        };
        let writer = Writer {
            jobs,
            next: None,
            budget: self.budget,
            wait: self.wait,
            disk_space: DiskSpaceGuard::new(options.get_filename(), self.min_free_bytes),
            fair_lock: FairLock::new(options.get_filename()),
            connection: WriterConnection {
                connection: Some(connection),
                options,
                access,
            },
        };
        let work = writer.run(self.closing.clone());
        self.task.spawn(self.background.supervised(work));
    }

    /// Queues a piece of work and waits for its COMMIT.
    pub(super) async fn push<T, E, W>(&self, atomicity: Atomicity, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        W: WriteFn<T, E>,
    {
        let permit = self.permit()?;
        let (reply, answer) = oneshot::channel();
        self.send(Box::new(WriteJob::new(atomicity, work, permit, reply)))?;
        // The queue is dropped unanswered only when the process is being torn down.
        answer.await.unwrap_or(Err(Error::ShuttingDown.into()))
    }

    /// A permit for one write more, if there is one.
    fn permit(&self) -> Result<QueuePermit, Error> {
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        permit.map_err(|_| Error::Overloaded)
    }

    fn send(&self, job: Box<dyn Job>) -> Result<(), Error> {
        self.jobs.try_send(job).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => Error::Overloaded,
            mpsc::error::TrySendError::Closed(_) => Error::ShuttingDown,
        })
    }

    /// Waits until nobody drains the queue any more although it is open.
    pub(super) async fn failed(&self) -> ExitError {
        self.background.failed().await
    }

    /// Takes no more work and waits until what is queued is done.
    pub(super) async fn close(&self) {
        self.closing.cancel();
        // Never started: what waits is dropped, and so answered.
        drop(self.idle.lock().await.take());
        self.task.close();
        self.task.wait().await;
    }
}

/// The task that drains the queue.
struct Writer {
    jobs: JobReceiver,
    // What there was no room for in the batch before.
    next: Option<Box<dyn Job>>,
    budget: BatchBudget,
    wait: Duration,
    disk_space: DiskSpaceGuard,
    fair_lock: FairLock,
    connection: WriterConnection,
}

impl Writer {
    async fn run(mut self, closing: CancellationToken) {
        let mut batch = Vec::new();
        loop {
            if self.next.is_none() {
                self.next = tokio::select! {
                    biased;
                    job = self.jobs.recv() => job,
                    () = closing.cancelled(), if !self.jobs.is_closed() => {
                        // From now on nothing is accepted; what is queued is still done.
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
            self.take(&mut batch);
            batch.retain_mut(|job| !job.drop_cancelled());
            if !batch.is_empty() {
                self.write(&mut batch).await;
            }
        }
        self.connection.close().await;
    }

    /// Takes from the queue what can be committed together. If there is still room then, the
    /// last of it may be joined.
    fn take(&mut self, batch: &mut Vec<Box<dyn Job>>) {
        let mut budget = self.budget;
        while let Some(mut job) = self.next.take().or_else(|| self.jobs.try_recv().ok()) {
            if !job.take(&mut budget) {
                self.next = Some(job);
                break;
            }
            batch.push(job);
        }
        if let Some(last) = batch.last_mut() {
            last.reopen(budget);
        }
    }

    /// Writes what has gathered, unless there is no room for it.
    async fn write(&mut self, batch: &mut Vec<Box<dyn Job>>) {
        match self.disk_space.check() {
            Ok(()) => {
                let ended =
                    commit(&mut self.connection, &mut self.fair_lock, batch, self.wait).await;
                self.disk_space.record_result(&ended);
            }
            Err(error) => batch.drain(..).for_each(|job| job.fail(error.clone())),
        }
    }
}

/// The connection of the writer, opened again if a transaction on it could not be ended.
struct WriterConnection {
    connection: Option<SqliteConnection>,
    options: SqliteConnectOptions,
    access: &'static AccessPolicy,
}

impl WriterConnection {
    async fn open(&mut self) -> Result<&mut SqliteConnection, sqlx::Error> {
        use sqlx::ConnectOptions;

        let connection = if let Some(connection) = self.connection.take() {
            connection
        } else {
            let mut connection = self.options.connect().await?;
            self.access.install(&mut connection).await?;
            connection
        };
        Ok(self.connection.insert(connection))
    }

    /// Gives the connection up; SQLite rolls back what it had begun.
    async fn close(&mut self) {
        use sqlx::Connection;

        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the writing connection did not close cleanly");
        }
    }
}
