//! Batching of writes of one type from many callers. The first write queues a job, which later writes
//! join until the writer task executes it.
//!
//! It knows the jobs of the queue, and no statement.

use std::{
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use process::clock::Clock;
use sqlx::SqliteConnection;
use tokio::{runtime::Handle, sync::oneshot, time::Instant};

use super::{
    Atomicity, BatchBudget, QueuePermit, WriteError, WriteQueue,
    batch::{Job, catch_panic},
};
use crate::Error;

/// The operations that execute a batch of writes of one type. They run in an open transaction
/// and receive the clock's time at execution, not at submission.
pub struct BatchOps<I, T, E> {
    /// Returns how many rows a write has.
    pub row_count: fn(&I) -> usize,
    /// Returns the atomicity of [`BatchOps::insert_one`].
    pub atomicity: fn(&I) -> Atomicity,
    /// Executes the writes of a batch in few statements.
    pub insert_all: InsertAll<I, T>,
    /// Executes one write of a batch, in the order of the batch.
    pub insert_one: InsertOne<I, T, E>,
}

/// Executes writes together. Returns one result for each write, in their order, and `None` for each
/// write that [`BatchOps::insert_one`] must execute instead.
///
/// # Errors
///
/// If the database fails. The whole transaction is then lost.
pub type InsertAll<I, T> = for<'c> fn(
    &'c mut SqliteConnection,
    &'c [I],
    DateTime<Utc>,
) -> BoxFuture<'c, Result<Vec<Option<T>>, sqlx::Error>>;

/// Executes one write alone.
///
/// # Errors
///
/// Those of a [`WriteFn`](super::WriteFn).
pub type InsertOne<I, T, E> = for<'c> fn(
    &'c mut SqliteConnection,
    &'c I,
    DateTime<Utc>,
) -> BoxFuture<'c, Result<T, WriteError<E>>>;

impl<I, T, E: From<Error>> BatchOps<I, T, E> {
    /// Executes writes, and returns a result for each: first together, then the remaining ones
    /// individually, in their order.
    async fn run(
        self,
        connection: &mut SqliteConnection,
        items: &[I],
        now: DateTime<Utc>,
    ) -> Result<Vec<Result<T, E>>, sqlx::Error> {
        let inserted = (self.insert_all)(connection, items, now).await?;
        if inserted.len() != items.len() {
            let (writes, count) = (items.len(), inserted.len());
            return Err(sqlx::Error::Protocol(format!(
                "{writes} writes have {count} results"
            )));
        }
        let mut results = Vec::with_capacity(items.len());
        for (item, inserted) in items.iter().zip(inserted) {
            let result = if let Some(value) = inserted {
                Ok(value)
            } else {
                let atomicity = (self.atomicity)(item);
                atomicity.begin(connection).await?;
                let result = catch_panic((self.insert_one)(connection, item, now)).await;
                atomicity.end(connection, result).await?
            };
            results.push(result);
        }
        Ok(results)
    }
}

impl<I, T, E> Clone for BatchOps<I, T, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I, T, E> Copy for BatchOps<I, T, E> {}

impl<I, T, E> fmt::Debug for BatchOps<I, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchOps").finish_non_exhaustive()
    }
}

/// Batches writes of one type. Clones share the open batch.
pub struct Batcher<I, T, E> {
    queue: WriteQueue,
    ops: BatchOps<I, T, E>,
    clock: Clock,
    // The newest batch. It may have been executed already.
    open: Arc<Mutex<SharedBatch<I, T, E>>>,
}

impl<I, T, E> Clone for Batcher<I, T, E> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            ops: self.ops,
            clock: self.clock.clone(),
            open: Arc::clone(&self.open),
        }
    }
}

impl<I, T, E> fmt::Debug for Batcher<I, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batcher").finish_non_exhaustive()
    }
}

/// The caller of a write.
struct Waiter<T, E> {
    queued: Instant,
    reply: oneshot::Sender<Result<T, E>>,
    // The runtime of the caller's task.
    runtime: Handle,
    permit: Option<QueuePermit>,
}

/// A batch of writes, with the caller of each.
struct OpenBatch<I, T, E> {
    items: Vec<I>,
    waiters: Vec<Waiter<T, E>>,
    rows: usize,
    // The writes and rows that may still join.
    budget: BatchBudget,
}

/// A batch that writes may join, or `None` once the job has closed it.
type SharedBatch<I, T, E> = Arc<Mutex<Option<OpenBatch<I, T, E>>>>;

impl<I, T, E> OpenBatch<I, T, E> {
    fn new(budget: BatchBudget) -> Self {
        Self {
            items: Vec::new(),
            waiters: Vec::new(),
            rows: 0,
            budget,
        }
    }

    fn push(&mut self, item: I, waiter: Waiter<T, E>, rows: usize) {
        self.items.push(item);
        self.waiters.push(waiter);
        self.rows += rows;
    }

    /// Removes the writes whose waiters match `remove`, and returns these waiters.
    fn remove_where(&mut self, remove: impl FnMut(&Waiter<T, E>) -> bool) -> Vec<Waiter<T, E>> {
        let removed: Vec<_> = self.waiters.iter().map(remove).collect();
        if !removed.contains(&true) {
            return Vec::new();
        }
        let mut of_items = removed.iter();
        self.items.retain(|_| of_items.next() == Some(&false));
        let mut of_waiters = removed.iter();
        let is_removed = |_: &mut Waiter<T, E>| of_waiters.next() == Some(&true);
        self.waiters.extract_if(.., is_removed).collect()
    }
}

impl<I, T, E> Batcher<I, T, E> {
    pub(in crate::sqlite) fn new(queue: WriteQueue, ops: BatchOps<I, T, E>, clock: Clock) -> Self {
        Self {
            queue,
            ops,
            clock,
            open: Arc::default(),
        }
    }
}

impl<I, T, E> Batcher<I, T, E>
where
    I: Send + Sync + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    /// Executes one write in a batch with others, and returns after its COMMIT.
    ///
    /// # Errors
    ///
    /// The rejection of the write, and those of [`Database::write`].
    ///
    /// [`Database::write`]: crate::sqlite::Database::write
    pub async fn write(&self, item: I) -> Result<T, E> {
        let (reply, result) = oneshot::channel();
        let waiter = Waiter {
            queued: Instant::now(),
            reply,
            runtime: Handle::current(),
            permit: Some(self.queue.permit()?),
        };
        self.enqueue(item, waiter)?;
        // The job is dropped without a reply only if the queue is dropped at the end of the process.
        result.await.unwrap_or(Err(Error::ShuttingDown.into()))
    }

    /// Adds a write to the open batch, or queues a new batch with it.
    fn enqueue(&self, item: I, waiter: Waiter<T, E>) -> Result<(), Error> {
        let rows = (self.ops.row_count)(&item);
        let mut open = lock(&self.open);
        if let Some(batch) = lock(&open).as_mut()
            && batch.budget.take(1, rows)
        {
            batch.push(item, waiter, rows);
            return Ok(());
        }
        let mut batch = OpenBatch::new(self.queue.budget);
        batch.budget.take(1, rows);
        batch.push(item, waiter, rows);
        *open = Arc::new(Mutex::new(Some(batch)));
        self.queue.send(Box::new(BatchJob {
            open: Arc::clone(&open),
            closed: None,
            ops: self.ops,
            clock: self.clock.clone(),
            results: Vec::new(),
        }))
    }
}

/// The job of a batch.
struct BatchJob<I, T, E> {
    /// The batch, until the job executes it.
    open: SharedBatch<I, T, E>,
    /// The batch from then on.
    closed: Option<OpenBatch<I, T, E>>,
    ops: BatchOps<I, T, E>,
    clock: Clock,
    results: Vec<Result<T, E>>,
}

impl<I, T, E> BatchJob<I, T, E> {
    /// Calls `f` with the batch, which may be open or closed.
    fn with<R>(&mut self, f: impl FnOnce(&mut OpenBatch<I, T, E>) -> R) -> Option<R> {
        match &mut self.closed {
            Some(closed) => Some(f(closed)),
            None => lock(&self.open).as_mut().map(f),
        }
    }

    /// Removes the writes whose waiters match `remove`, and closes the batch if none is left.
    fn remove_where(&mut self, remove: impl FnMut(&Waiter<T, E>) -> bool) -> Vec<Waiter<T, E>> {
        let removed = self.with(|batch| batch.remove_where(remove));
        if self.is_empty() {
            self.close();
        }
        removed.unwrap_or_default()
    }

    fn is_empty(&mut self) -> bool {
        self.with(|batch| batch.items.is_empty()).unwrap_or(true)
    }

    /// Closes the batch to further writes, and returns it.
    fn close(&mut self) -> &mut OpenBatch<I, T, E> {
        self.closed.get_or_insert_with(|| {
            let open = lock(&self.open).take();
            open.unwrap_or_else(|| OpenBatch::new(BatchBudget::NONE))
        })
    }
}

/// Closes the batch of a job that is dropped before it is executed. Otherwise a write could join the
/// batch and wait forever.
impl<I, T, E> Drop for BatchJob<I, T, E> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<I, T, E> Job for BatchJob<I, T, E>
where
    I: Send + Sync + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    fn admit(&mut self, budget: &mut BatchBudget) -> bool {
        let admitted = self.with(|batch| {
            if !budget.take(batch.items.len(), batch.rows) {
                return false;
            }
            for waiter in &mut batch.waiters {
                waiter.permit = None;
            }
            batch.budget = BatchBudget::NONE;
            true
        });
        admitted.unwrap_or(true)
    }

    fn reopen(&mut self, budget: BatchBudget) {
        self.with(|batch| batch.budget = budget);
    }

    fn drop_cancelled(&mut self) -> bool {
        self.remove_where(|waiter| waiter.reply.is_closed());
        self.is_empty()
    }

    fn expire(&mut self, lock_timeout: Duration) -> bool {
        for waiter in self.remove_where(|waiter| waiter.queued.elapsed() >= lock_timeout) {
            let _ = waiter.reply.send(Err(Error::Busy.into()));
        }
        self.is_empty()
    }

    fn run<'c>(
        &'c mut self,
        connection: &'c mut SqliteConnection,
    ) -> BoxFuture<'c, Result<(), sqlx::Error>> {
        Box::pin(async move {
            let (ops, now) = (self.ops, self.clock.now());
            self.results = ops.run(connection, &self.close().items, now).await?;
            Ok(())
        })
    }

    fn succeed(mut self: Box<Self>) {
        let results = mem::take(&mut self.results);
        send_results(self.close().waiters.drain(..).zip(results));
    }

    fn fail(mut self: Box<Self>, error: Error) {
        let waiters = self.close().waiters.drain(..);
        send_results(waiters.map(|waiter| (waiter, Err(error.clone().into()))));
    }
}

/// Sends the results to their callers. Waking a task of another runtime is a system call, so one task
/// in each runtime sends all results there.
fn send_results<T, E>(results: impl Iterator<Item = (Waiter<T, E>, Result<T, E>)>)
where
    T: Send + 'static,
    E: Send + 'static,
{
    let here = Handle::current().id();
    let mut elsewhere: Vec<(Handle, Vec<_>)> = Vec::new();
    for (waiter, result) in results {
        let runtime = waiter.runtime.id();
        if runtime == here {
            // The caller may have cancelled the write after it was executed.
            let _ = waiter.reply.send(result);
            continue;
        }
        let there = elsewhere
            .iter_mut()
            .find(|(handle, _)| handle.id() == runtime);
        match there {
            Some((_, replies)) => replies.push((waiter.reply, result)),
            None => elsewhere.push((waiter.runtime, vec![(waiter.reply, result)])),
        }
    }
    for (runtime, replies) in elsewhere {
        runtime.spawn(async move {
            for (reply, result) in replies {
                let _ = reply.send(result);
            }
        });
    }
}

/// Locks a mutex. It is never poisoned by half a change, since no code panics under the lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
