//! One transaction of the writer: BEGIN, the jobs, COMMIT, the answers.

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

/// A piece of work in the queue.
pub(super) trait Job: Send {
    /// Notes that the writer has taken it, if there is room for it: its permits in the queue are
    /// free again, and nobody joins it any more.
    fn take(&mut self, budget: &mut BatchBudget) -> bool;
    /// Lets others join it again, if it is such that others do, for whom there is room.
    fn reopen(&mut self, budget: BatchBudget);
    /// Whether nobody waits for it any more. Of several who wait for it, those who have
    /// left are forgotten.
    fn drop_cancelled(&mut self) -> bool;
    /// Whether all who wait for it have waited for `wait`. Of several, those who have are
    /// told so, and forgotten.
    fn expire(&mut self, wait: Duration) -> bool;
    /// Does it, once, in the open transaction, and keeps the result for the answer. Fails only
    /// if the transaction is lost.
    fn run<'c>(
        &'c mut self,
        connection: &'c mut SqliteConnection,
    ) -> BoxFuture<'c, Result<(), sqlx::Error>>;
    /// Answers with the result.
    fn succeed(self: Box<Self>);
    /// Answers with a failure.
    fn fail(self: Box<Self>, error: Error);
}

/// A job for one caller.
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
    fn take(&mut self, budget: &mut BatchBudget) -> bool {
        // How many rows it has is not known; it is one caller's.
        let taken = budget.take(1, 1);
        if taken {
            self.permit = None;
        }
        taken
    }

    fn reopen(&mut self, _: BatchBudget) {}

    fn drop_cancelled(&mut self) -> bool {
        self.reply.is_closed()
    }

    fn expire(&mut self, wait: Duration) -> bool {
        self.queued.elapsed() >= wait
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
            // A caller that went away meanwhile misses its answer, as over any network.
            let _ = self.reply.send(result);
        }
    }

    fn fail(self: Box<Self>, error: Error) {
        let _ = self.reply.send(Err(error.into()));
    }
}

impl Atomicity {
    /// Begins a piece of work in an open transaction.
    pub(super) async fn begin(self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        match self {
            Self::SingleStatement => Ok(()),
            Self::Savepoint | Self::ValidateOnly => execute(connection, "savepoint job").await,
        }
    }

    /// Ends a piece of work: undoes what was refused, has failed, or was only tried. Returns the
    /// result for its caller, or an error if the transaction is lost.
    pub(super) async fn end<T, E: From<Error>>(
        self,
        connection: &mut SqliteConnection,
        result: Result<T, WriteError<E>>,
    ) -> Result<Result<T, E>, sqlx::Error> {
        if self != Self::SingleStatement {
            if self == Self::ValidateOnly || result.is_err() {
                // After some failures, a full disk for one, SQLite has rolled the whole
                // transaction back: then there is no such savepoint any more.
                execute(connection, "rollback to job").await?;
            }
            execute(connection, "release job").await?;
        }
        match result {
            Ok(value) => Ok(Ok(value)),
            Err(WriteError::Rejected(refusal)) => Ok(Err(refusal)),
            // A statement that violates a constraint undoes itself, and only itself.
            Err(WriteError::Database(error))
                if self == Self::SingleStatement && !is_constraint(&error) =>
            {
                Err(error)
            }
            Err(WriteError::Database(error)) => Ok(Err(Error::from(error).into())),
        }
    }
}

/// Does the jobs in one transaction and answers them, and says how it ended. `jobs` is
/// empty afterwards.
pub(super) async fn commit(
    writer: &mut WriterConnection,
    fair_lock: &mut FairLock,
    jobs: &mut Vec<Box<dyn Job>>,
    wait: Duration,
) -> Result<(), Error> {
    let connection = match writer.open().await {
        Ok(connection) => connection,
        Err(error) => return Err(fail_all(jobs.drain(..), error)),
    };
    if let Err(error) = begin(connection, fair_lock, jobs, wait).await {
        return Err(fail_all(jobs.drain(..), error));
    }

    let mut done = Vec::with_capacity(jobs.len());
    let result = match run_all(connection, jobs, &mut done).await {
        Ok(()) => execute(connection, "commit").await,
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => {
            done.into_iter().for_each(Job::succeed);
            Ok(())
        }
        Err(error) => {
            // SQLite may have rolled back by itself, which makes this fail. A new
            // connection has no transaction open, whatever happened to this one.
            if execute(connection, "rollback").await.is_err() {
                writer.close().await;
            }
            Err(fail_all(done.into_iter().chain(jobs.drain(..)), error))
        }
    }
}

/// Begins, and tries again while another process has the lock. JobReceiver that nobody waits for any
/// more are dropped meanwhile, and those that have waited for `wait` fail.
async fn begin(
    connection: &mut SqliteConnection,
    fair_lock: &mut FairLock,
    jobs: &mut Vec<Box<dyn Job>>,
    wait: Duration,
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
        let late = jobs.extract_if(.., |job| job.expire(wait));
        late.for_each(|job| job.fail(Error::Busy));
        if jobs.is_empty() {
            return Err(Error::Busy);
        }
        acquire.pause().await;
    }
}

/// Does each job and moves it to `done`. A failure is the whole transaction's, and leaves the
/// rest of `jobs` undone.
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

/// The result of a piece of work; a panic in it is a failure like any other, or it would
/// end the queue for everybody.
pub(super) async fn catch_panic<T, E: From<sqlx::Error>>(
    work: BoxFuture<'_, Result<T, E>>,
) -> Result<T, E> {
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| Err(sqlx::Error::Protocol("a piece of writing panicked".into()).into()))
}

async fn execute(
    connection: &mut SqliteConnection,
    statement: &'static str,
) -> Result<(), sqlx::Error> {
    sqlx::query(statement).execute(connection).await.map(drop)
}

/// Answers all with the failure, and returns it.
fn fail_all(jobs: impl Iterator<Item = Box<dyn Job>>, error: impl Into<Error>) -> Error {
    let error = error.into();
    for job in jobs {
        job.fail(error.clone());
    }
    error
}
