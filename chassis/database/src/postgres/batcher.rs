//! Batching of writes of one type from many callers: what has gathered while a batch is committed is
//! the next batch. Each write waits for the commit of its batch.
//!
//! Creations need it, since each of them updates the same row, which gives out the ids.

use std::{fmt, sync::Arc};

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use process::clock::Clock;
use sqlx::PgConnection;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    task::yield_now,
};

use super::{Database, Transaction, transaction::work};
use crate::{Error, WriteError, batch_budget::BatchBudget};

/// The operations that execute a batch of writes of one type. They run in a transaction and receive
/// the clock's time at execution, not at submission. They may be executed again in a retry.
pub struct BatchOps<I, T, E> {
    /// Returns how many rows a write has.
    pub row_count: fn(&I) -> usize,
    /// Returns whether a write has an idempotency key.
    pub has_key: fn(&I) -> bool,
    /// Locks the row that gives out ids. The clock is read afterwards: creation times rise in the
    /// order in which processes get the lock.
    pub lock: Lock,
    /// Executes the writes of a batch in few statements.
    pub insert_all: InsertAll<I, T>,
    /// Executes one write of a batch.
    pub insert_one: InsertOne<I, T, E>,
}

/// Waits for a lock until the end of the transaction.
pub type Lock = for<'c> fn(&'c mut PgConnection) -> BoxFuture<'c, Result<(), sqlx::Error>>;

/// Executes writes together. Returns one result for each write, in their order, and `None` for each
/// write that [`BatchOps::insert_one`] must execute in a transaction of its own.
///
/// # Errors
///
/// If the database fails.
pub type InsertAll<I, T> = for<'c> fn(
    &'c mut PgConnection,
    &'c [I],
    DateTime<Utc>,
) -> BoxFuture<'c, Result<Vec<Option<T>>, sqlx::Error>>;

/// Executes one write alone.
///
/// # Errors
///
/// The rejection of the write, or the failure of the database.
pub type InsertOne<I, T, E> = for<'c> fn(
    &'c mut PgConnection,
    &'c I,
    DateTime<Utc>,
) -> BoxFuture<'c, Result<T, WriteError<E>>>;

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

/// Batches writes of one type. Clones share the queue.
pub struct Batcher<I, T, E> {
    database: Database,
    queue: mpsc::UnboundedSender<Queued<I, T, E>>,
}

impl<I, T, E> Clone for Batcher<I, T, E> {
    fn clone(&self) -> Self {
        Self {
            database: self.database.clone(),
            queue: self.queue.clone(),
        }
    }
}

impl<I, T, E> fmt::Debug for Batcher<I, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batcher").finish_non_exhaustive()
    }
}

/// The caller of a write, and the permit of the write.
type Waiter<T, E> = (oneshot::Sender<Result<T, E>>, OwnedSemaphorePermit);

/// The writes of a batch, and their callers.
type Batch<I, T, E> = (Vec<I>, Vec<Waiter<T, E>>);

/// A write that waits for its batch.
struct Queued<I, T, E> {
    item: I,
    reply: oneshot::Sender<Result<T, E>>,
    permit: OwnedSemaphorePermit,
}

impl<I, T, E> Batcher<I, T, E>
where
    I: Send + Sync + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    /// Returns a batcher, and starts its task.
    pub(super) fn new(database: &Database, ops: BatchOps<I, T, E>, clock: Clock) -> Self {
        // The permits bound it.
        let (queue, receiver) = mpsc::unbounded_channel();
        let writer = Writer {
            database: database.clone(),
            queue: receiver,
            next: None,
            ops,
            clock,
        };
        let task = writer.run();
        let supervised = database.background.supervised(task);
        database.tasks.spawn(supervised);
        Self {
            database: database.clone(),
            queue,
        }
    }

    /// Executes one write in a batch with others, and returns after its COMMIT.
    ///
    /// # Errors
    ///
    /// Those of [`Database::write`].
    pub async fn write(&self, item: I) -> Result<T, E> {
        let permit = self.database.permit()?;
        let (reply, result) = oneshot::channel();
        let queued = Queued {
            item,
            reply,
            permit,
        };
        self.queue.send(queued).map_err(|_| Error::ShuttingDown)?;
        // The write is dropped without a reply only at the end of the process.
        result.await.unwrap_or(Err(Error::ShuttingDown.into()))
    }
}

/// The task that executes the batches.
struct Writer<I, T, E> {
    database: Database,
    queue: mpsc::UnboundedReceiver<Queued<I, T, E>>,
    /// The write that exceeded the budget of the previous batch.
    next: Option<Queued<I, T, E>>,
    ops: BatchOps<I, T, E>,
    clock: Clock,
}

impl<I, T, E> Writer<I, T, E>
where
    I: Send + Sync + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    async fn run(mut self) {
        let closing = self.database.closing.clone();
        loop {
            if self.next.is_none() {
                self.next = tokio::select! {
                    biased;
                    write = self.queue.recv() => write,
                    () = closing.cancelled(), if !self.queue.is_closed() => {
                        // The channel rejects new writes, and still returns the queued ones.
                        self.queue.close();
                        continue;
                    }
                };
            }
            if self.next.is_none() {
                break;
            }
            // Callers of the previous batch send their next writes within one runtime tick. Yield
            // once so that this batch includes all of them.
            yield_now().await;
            let batch = self.take_batch();
            if !batch.is_empty() {
                self.execute(batch).await;
            }
        }
    }

    /// Takes the writes of the next batch from the queue, without those whose callers are gone.
    fn take_batch(&mut self) -> Vec<Queued<I, T, E>> {
        let mut budget = BatchBudget::new(self.database.max_write_batch);
        let mut batch = Vec::new();
        while let Some(write) = self.next.take().or_else(|| self.queue.try_recv().ok()) {
            if write.reply.is_closed() {
                continue;
            }
            if !budget.take(1, (self.ops.row_count)(&write.item)) {
                self.next = Some(write);
                break;
            }
            batch.push(write);
        }
        batch
    }

    /// Executes a batch in one transaction. Executes each write that this leaves out separately.
    async fn execute(&self, batch: Vec<Queued<I, T, E>>) {
        let mut items = Vec::with_capacity(batch.len());
        let mut waiters = Vec::with_capacity(batch.len());
        for Queued {
            item,
            reply,
            permit,
        } in batch
        {
            items.push(item);
            waiters.push((reply, permit));
        }
        let batch = Arc::new((items, waiters));
        let results = self.insert_all(&batch).await;
        // The attempts are over, and with them their references.
        let Some((items, waiters)) = Arc::into_inner(batch) else {
            return;
        };
        match results {
            Ok(results) => {
                for ((item, (reply, permit)), result) in items.into_iter().zip(waiters).zip(results)
                {
                    match result {
                        // The caller may be gone.
                        Some(value) => drop(reply.send(Ok(value))),
                        None => self.spawn_one(item, reply, permit),
                    }
                }
            }
            Err(Error::OutcomeUnknown) => {
                for (item, (reply, permit)) in items.into_iter().zip(waiters) {
                    if (self.ops.has_key)(&item) {
                        self.spawn_one(item, reply, permit);
                    } else {
                        let _ = reply.send(Err(Error::OutcomeUnknown.into()));
                    }
                }
            }
            Err(error) => {
                for (reply, _) in waiters {
                    let _ = reply.send(Err(error.clone().into()));
                }
            }
        }
    }

    async fn insert_all(&self, batch: &Arc<Batch<I, T, E>>) -> Result<Vec<Option<T>>, Error> {
        let (ops, clock) = (self.ops, self.clock.clone());
        let shared = Arc::clone(batch);
        let work = work(move |connection| {
            let (batch, clock) = (Arc::clone(&shared), clock.clone());
            Box::pin(async move {
                let (items, waiters) = &*batch;
                (ops.lock)(connection).await?;
                if waiters.iter().all(|(reply, _)| reply.is_closed()) {
                    // No caller receives it.
                    return Err(WriteError::Rejected(Error::ShuttingDown));
                }
                let results = (ops.insert_all)(connection, items, clock.now()).await?;
                if results.len() == items.len() {
                    Ok(results)
                } else {
                    let (writes, count) = (items.len(), results.len());
                    let error = format!("{writes} writes have {count} results");
                    Err(WriteError::Database(sqlx::Error::Protocol(error)))
                }
            })
        });
        let waiting = Arc::clone(batch);
        let abandoned = move || waiting.1.iter().all(|(reply, _)| reply.is_closed());
        self.database
            .batches
            .run(Transaction::Write, &work, abandoned)
            .await
    }

    /// Executes one write in a transaction of its own, in a task.
    fn spawn_one(
        &self,
        item: I,
        reply: oneshot::Sender<Result<T, E>>,
        permit: OwnedSemaphorePermit,
    ) {
        let transaction = if (self.ops.has_key)(&item) {
            Transaction::Resolvable
        } else {
            Transaction::Write
        };
        let (ops, clock) = (self.ops, self.clock.clone());
        let item = Arc::new(item);
        let work = work(move |connection| {
            let (item, clock) = (Arc::clone(&item), clock.clone());
            Box::pin(async move {
                (ops.lock)(connection).await?;
                (ops.insert_one)(connection, &item, clock.now()).await
            })
        });
        let writes = self.database.writes.clone();
        self.database.tasks.spawn(async move {
            let abandoned = || reply.is_closed();
            let result = writes.run(transaction, &work, abandoned).await;
            drop(permit);
            let _ = reply.send(result);
        });
    }
}
