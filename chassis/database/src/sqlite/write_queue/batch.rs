//! A transaction of the writer task: BEGIN, the jobs, COMMIT, and the replies to the callers.

use std::{mem, panic::AssertUnwindSafe, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use sqlx::SqliteConnection;
use tokio::{sync::oneshot, time::Instant};

use super::{Atomicity, BatchBudget, QueuePermit, WriteError, WriteFn, WriterConnection};
use crate::{
    Error,
    sqlite::{
        fair_lock::FairLock,
        result_code::{is_busy, is_constraint},
    },
};

/// A job of the queue: the write of one caller, or a batch of writes.
pub(super) trait Job: Send {
    /// Adds the job to the transaction, if its budget suffices: releases the permits of its writes,
    /// and closes it to further writes. Returns whether it was added.
    fn admit(&mut self, budget: &mut BatchBudget) -> bool;
    /// Lets further writes join the job again, within the rest of the budget.
    fn reopen(&mut self, budget: BatchBudget);
    /// Drops the writes whose callers have cancelled them. Returns whether none is left.
    fn drop_cancelled(&mut self) -> bool;
    /// Fails the writes that were queued for `lock_timeout`. Returns whether none is left.
    fn expire(&mut self, lock_timeout: Duration) -> bool;
    /// Executes the job in the open transaction, and stores the results. Fails only if the
    /// transaction is lost.
    fn run<'c>(
        &'c mut self,
        connection: &'c mut SqliteConnection,
    ) -> BoxFuture<'c, Result<(), sqlx::Error>>;
    /// Sends the results to the callers.
    fn succeed(self: Box<Self>);
    /// Sends the error to the callers.
    fn fail(self: Box<Self>, error: Error);
}

/// The write of one caller.
pub(super) struct WriteJob<T, E, W> {
    queued: Instant,
    permit: Option<QueuePermit>,
    atomicity: Atomicity,
    work: Option<W>,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T, E, W> WriteJob<T, E, W> {
    pub(super) fn new(
        atomicity: Atomicity,
        work: W,
        permit: QueuePermit,
        reply: oneshot::Sender<Result<T, E>>,
    ) -> Self {
        Self {
            queued: Instant::now(),
            permit: Some(permit),
            atomicity,
            work: Some(work),
            result: None,
            reply,
        }
    }
}

impl<T, E, W> Job for WriteJob<T, E, W>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
    W: WriteFn<T, E>,
{
    fn admit(&mut self, budget: &mut BatchBudget) -> bool {
        // The number of its rows is unknown, so it counts as one.
        let admitted = budget.take(1, 1);
        if admitted {
            self.permit = None;
        }
        admitted
    }

    fn reopen(&mut self, _: BatchBudget) {}

    fn drop_cancelled(&mut self) -> bool {
        self.reply.is_closed()
    }

    fn expire(&mut self, lock_timeout: Duration) -> bool {
        self.queued.elapsed() >= lock_timeout
    }

    fn run<'c>(
        &'c mut self,
        connection: &'c mut SqliteConnection,
    ) -> BoxFuture<'c, Result<(), sqlx::Error>> {
        Box::pin(async move {
            if let Some(work) = self.work.take() {
                self.atomicity.begin(connection).await?;
                let result = catch_panic(work(connection)).await;
                self.result = Some(self.atomicity.end(connection, result).await?);
            }
            Ok(())
        })
    }

    fn succeed(self: Box<Self>) {
        if let Some(result) = self.result {
            // The caller may have cancelled the write after it was executed.
            let _ = self.reply.send(result);
        }
    }

    fn fail(self: Box<Self>, error: Error) {
        let _ = self.reply.send(Err(error.into()));
    }
}

impl Atomicity {
    /// Begins a write in an open transaction.
    pub(super) async fn begin(self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        match self {
            Self::SingleStatement => Ok(()),
            Self::Savepoint | Self::ValidateOnly => execute(connection, "savepoint job").await,
        }
    }

    /// Ends a write: rolls it back if it was rejected, has failed, or was only validated. Returns the
    /// result for its caller, or an error if the transaction is lost.
    pub(super) async fn end<T, E: From<Error>>(
        self,
        connection: &mut SqliteConnection,
        result: Result<T, WriteError<E>>,
    ) -> Result<Result<T, E>, sqlx::Error> {
        if self != Self::SingleStatement {
            if self == Self::ValidateOnly || result.is_err() {
                // After some errors, such as a full disk, SQLite has rolled back the whole
                // transaction. This statement then fails, since the savepoint is gone.
                execute(connection, "rollback to job").await?;
            }
            execute(connection, "release job").await?;
        }
        match result {
            Ok(value) => Ok(Ok(value)),
            Err(WriteError::Rejected(rejection)) => Ok(Err(rejection)),
            // A statement that violates a constraint rolls back only itself.
            Err(WriteError::Database(error))
                if self == Self::SingleStatement && !is_constraint(&error) =>
            {
                Err(error)
            }
            Err(WriteError::Database(error)) => Ok(Err(Error::from(error).into())),
        }
    }
}

/// Executes the jobs in one transaction, and sends their results. `jobs` is empty afterwards.
/// Returns the result of the transaction.
pub(super) async fn commit(
    writer: &mut WriterConnection,
    fair_lock: &mut FairLock,
    jobs: &mut Vec<Box<dyn Job>>,
    lock_timeout: Duration,
) -> Result<(), Error> {
    let connection = match writer.open().await {
        Ok(connection) => connection,
        Err(error) => return Err(fail_all(jobs.drain(..), error)),
    };
    if let Err(error) = begin(connection, fair_lock, jobs, lock_timeout).await {
        return Err(fail_all(jobs.drain(..), error));
    }

    let mut done = Vec::with_capacity(jobs.len());
    let result = match run_all(connection, jobs, &mut done).await {
        Ok(()) => execute(connection, "commit").await,
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => match writer.files.check() {
            Ok(()) => {
                done.into_iter().for_each(Job::succeed);
                Ok(())
            }
            // The commit is in a file that the next process does not find.
            Err(error) => Err(fail_all(done.into_iter(), error)),
        },
        Err(error) => {
            // The rollback fails if SQLite has already rolled back. A new connection certainly has
            // no open transaction.
            if execute(connection, "rollback").await.is_err() {
                writer.close().await;
            }
            Err(fail_all(done.into_iter().chain(jobs.drain(..)), error))
        }
    }
}

/// Begins the transaction, and retries while another process holds the lock. Between two attempts,
/// cancelled writes are dropped, and those that were queued for `lock_timeout` fail.
async fn begin(
    connection: &mut SqliteConnection,
    fair_lock: &mut FairLock,
    jobs: &mut Vec<Box<dyn Job>>,
    lock_timeout: Duration,
) -> Result<(), Error> {
    let mut acquire = fair_lock.acquire();
    loop {
        if acquire.try_acquire() {
            match execute(connection, "begin immediate").await {
                Err(error) if is_busy(&error) => {}
                Ok(()) => {
                    jobs.retain_mut(|job| !job.drop_cancelled());
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
        jobs.retain_mut(|job| !job.drop_cancelled());
        let expired = jobs.extract_if(.., |job| job.expire(lock_timeout));
        expired.for_each(|job| job.fail(Error::Busy));
        if jobs.is_empty() {
            return Err(Error::Busy);
        }
        acquire.pause().await;
    }
}

/// Executes each job and moves it to `done`. An error loses the whole transaction; the jobs that
/// were not executed stay in `jobs`.
async fn run_all(
    connection: &mut SqliteConnection,
    jobs: &mut Vec<Box<dyn Job>>,
    done: &mut Vec<Box<dyn Job>>,
) -> Result<(), sqlx::Error> {
    let mut queued = mem::take(jobs).into_iter();
    while let Some(mut job) = queued.next() {
        let ran = catch_panic(job.run(connection)).await;
        done.push(job);
        if ran.is_err() {
            jobs.extend(queued);
            return ran;
        }
    }
    Ok(())
}

/// Executes a write, and turns a panic into an error. Otherwise the panic would end the writer task,
/// and with it all later writes.
pub(super) async fn catch_panic<T, E: From<sqlx::Error>>(
    work: BoxFuture<'_, Result<T, E>>,
) -> Result<T, E> {
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| Err(sqlx::Error::Protocol("a write panicked".into()).into()))
}

async fn execute(
    connection: &mut SqliteConnection,
    statement: &'static str,
) -> Result<(), sqlx::Error> {
    sqlx::query(statement).execute(connection).await.map(drop)
}

/// Fails all jobs with the error, and returns it.
fn fail_all(jobs: impl Iterator<Item = Box<dyn Job>>, error: impl Into<Error>) -> Error {
    let error = error.into();
    for job in jobs {
        job.fail(error.clone());
    }
    error
}
