//! One transaction of the writer: BEGIN, the jobs, COMMIT, the answers.

use std::{future::ready, mem, panic::AssertUnwindSafe, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use sqlx::SqliteConnection;
use tokio::{sync::oneshot, time::Instant};

use super::{Capacity, Line, Place, Scope, Stop, Work, fair_lock::Turn};
use crate::{
    Error,
    sqlite::result_code::{is_busy, is_constraint},
};

/// A piece of work in the queue.
pub(super) trait Job: Send {
    /// Notes that the writer has taken it, if there is room for it: its places in the queue are
    /// free again, and nobody joins it any more.
    fn take(&mut self, capacity: &mut Capacity) -> bool;
    /// Lets others join it again, if it is such that others do, for whom there is room.
    fn give(&mut self, capacity: Capacity);
    /// Whether nobody waits for it any more. Of several who wait for it, those who have
    /// left are forgotten.
    fn abandoned(&mut self) -> bool;
    /// Whether all who wait for it have waited for `wait`. Of several, those who have are
    /// told so, and forgotten.
    fn late(&mut self, wait: Duration) -> bool;
    /// What becomes of what it writes.
    fn scope(&self) -> Scope;
    /// Does it by one statement, without a transaction around it, and keeps the result for
    /// the answer. Says whether it was done; if not, nothing was written, and it may be done
    /// in another way.
    fn run_at_once<'c>(
        &'c mut self,
        connection: &'c mut SqliteConnection,
    ) -> BoxFuture<'c, Result<bool, sqlx::Error>>;
    /// Does it, once, and keeps the result for the answer. Says whether it was done, and
    /// not refused.
    fn run<'c>(
        &'c mut self,
        connection: &'c mut SqliteConnection,
    ) -> BoxFuture<'c, Result<bool, sqlx::Error>>;
    /// Answers with the result.
    fn succeed(self: Box<Self>);
    /// Answers with a failure.
    fn fail(self: Box<Self>, error: Error);
}

/// A job for one caller.
pub(super) struct Call<T, E, W> {
    queued: Instant,
    place: Option<Place>,
    scope: Scope,
    state: State<T, E, W>,
    reply: oneshot::Sender<Result<T, E>>,
}

enum State<T, E, W> {
    Queued(W),
    Running,
    Done(Result<T, E>),
}

impl<T, E, W> Call<T, E, W> {
    pub(super) fn new(
        scope: Scope,
        work: W,
        place: Place,
        reply: oneshot::Sender<Result<T, E>>,
    ) -> Self {
        Self {
            queued: Instant::now(),
            place: Some(place),
            scope,
            state: State::Queued(work),
            reply,
        }
    }
}

impl<T, E, W> Job for Call<T, E, W>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
    W: Work<T, E>,
{
    fn take(&mut self, capacity: &mut Capacity) -> bool {
        // How many rows it has is not known; it is one caller's.
        let taken = capacity.take(1, 1);
        if taken {
            self.place = None;
        }
        taken
    }

    fn give(&mut self, _: Capacity) {}

    fn abandoned(&mut self) -> bool {
        self.reply.is_closed()
    }

    fn late(&mut self, wait: Duration) -> bool {
        self.queued.elapsed() >= wait
    }

    fn scope(&self) -> Scope {
        self.scope
    }

    fn run_at_once<'c>(
        &'c mut self,
        _: &'c mut SqliteConnection,
    ) -> BoxFuture<'c, Result<bool, sqlx::Error>> {
        Box::pin(ready(Ok(false)))
    }

    fn run<'c>(
        &'c mut self,
        connection: &'c mut SqliteConnection,
    ) -> BoxFuture<'c, Result<bool, sqlx::Error>> {
        Box::pin(async move {
            let State::Queued(work) = mem::replace(&mut self.state, State::Running) else {
                return Ok(false);
            };
            let result = match work(connection).await {
                Ok(value) => Ok(value),
                Err(Stop::Refused(refusal)) => Err(refusal),
                Err(Stop::Engine(error)) => return Err(error),
            };
            let done = result.is_ok();
            self.state = State::Done(result);
            Ok(done)
        })
    }

    fn succeed(self: Box<Self>) {
        if let State::Done(result) = self.state {
            // A caller that went away meanwhile misses its answer, as over any network.
            let _ = self.reply.send(result);
        }
    }

    fn fail(self: Box<Self>, error: Error) {
        let _ = self.reply.send(Err(error.into()));
    }
}

/// Does the jobs in one transaction and answers them, and says how it ended. `jobs` is
/// empty afterwards.
pub(super) async fn commit(
    line: &mut Line,
    turn: &mut Turn,
    jobs: &mut Vec<Box<dyn Job>>,
    wait: Duration,
) -> Result<(), Error> {
    let connection = match line.open().await {
        Ok(connection) => connection,
        Err(error) => return Err(fail_all(jobs.drain(..), error)),
    };
    match begin(connection, turn, jobs, wait).await {
        Ok(Begun::Transaction) => {}
        Ok(Begun::AndDone) => {
            jobs.drain(..).for_each(Job::succeed);
            return Ok(());
        }
        Err(error) => return Err(fail_all(jobs.drain(..), error)),
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
                line.close().await;
            }
            Err(fail_all(done.into_iter().chain(jobs.drain(..)), error))
        }
    }
}

/// What was begun.
enum Begun {
    /// A transaction.
    Transaction,
    /// One that is over: the jobs are done.
    AndDone,
}

/// Begins, and tries again while another process has the lock. Jobs that nobody waits for any
/// more are dropped meanwhile, and those that have waited for `wait` fail.
async fn begin(
    connection: &mut SqliteConnection,
    turn: &mut Turn,
    jobs: &mut Vec<Box<dyn Job>>,
    wait: Duration,
) -> Result<Begun, Error> {
    let mut waiting = turn.wait();
    loop {
        if waiting.has_come() {
            let attempt = match jobs.as_mut_slice() {
                [job] if waiting.is_undisputed() => try_at_once(connection, &mut **job),
                _ => try_begin(connection).boxed(),
            };
            match attempt.await {
                Err(error) if is_busy(&error) => {}
                Ok(Begun::Transaction) => {
                    jobs.retain_mut(|job| !job.abandoned());
                    return Ok(Begun::Transaction);
                }
                result => return Ok(result?),
            }
        }
        jobs.retain_mut(|job| !job.abandoned());
        let late = jobs.extract_if(.., |job| job.late(wait));
        late.for_each(|job| job.fail(Error::Busy));
        if jobs.is_empty() {
            return Err(Error::Busy);
        }
        waiting.pause().await;
    }
}

/// Does the only job by a statement that is a transaction by itself: the thread of the
/// connection is asked once, and not for each of three statements. Begins a transaction if the
/// job cannot be done so.
fn try_at_once<'c>(
    connection: &'c mut SqliteConnection,
    job: &'c mut dyn Job,
) -> BoxFuture<'c, Result<Begun, sqlx::Error>> {
    Box::pin(async move {
        if caught(job.run_at_once(connection)).await? {
            return Ok(Begun::AndDone);
        }
        try_begin(connection).await
    })
}

async fn try_begin(connection: &mut SqliteConnection) -> Result<Begun, sqlx::Error> {
    execute(connection, "begin immediate").await?;
    Ok(Begun::Transaction)
}

/// Does each job and moves it to `done`. A job that fails alone is answered at once; any
/// other failure is the whole transaction's, and leaves the rest of `jobs` undone.
async fn run_all(
    connection: &mut SqliteConnection,
    jobs: &mut Vec<Box<dyn Job>>,
    done: &mut Vec<Box<dyn Job>>,
) -> Result<(), sqlx::Error> {
    let mut queued = mem::take(jobs).into_iter();
    while let Some(mut job) = queued.next() {
        match run(connection, &mut *job).await {
            Ok(()) => done.push(job),
            Err(Reach::Job(error)) => job.fail(error.into()),
            Err(Reach::Transaction(error)) => {
                done.push(job);
                jobs.extend(queued);
                return Err(error);
            }
        }
    }
    Ok(())
}

/// How far a failure reaches.
enum Reach {
    /// The job is undone, and the transaction goes on.
    Job(sqlx::Error),
    /// The transaction is lost.
    Transaction(sqlx::Error),
}

impl From<sqlx::Error> for Reach {
    fn from(error: sqlx::Error) -> Self {
        Self::Transaction(error)
    }
}

/// Does one job, in a savepoint if it needs one.
async fn run(connection: &mut SqliteConnection, job: &mut dyn Job) -> Result<(), Reach> {
    let scope = job.scope();
    if scope == Scope::Batch {
        return Ok(caught(job.run(connection)).await.map(drop)?);
    }
    if scope == Scope::Statement {
        return match caught(job.run(connection)).await {
            // A statement that violates a constraint undoes itself, and only itself.
            Err(error) if is_constraint(&error) => Err(Reach::Job(error)),
            result => Ok(result.map(drop)?),
        };
    }
    execute(connection, "savepoint job").await?;
    let result = caught(job.run(connection)).await;
    if scope == Scope::Trial || !matches!(result, Ok(true)) {
        // After some failures, a full disk for one, SQLite has rolled the whole
        // transaction back: then there is no such savepoint any more.
        execute(connection, "rollback to job").await?;
    }
    execute(connection, "release job").await?;
    result.map(drop).map_err(Reach::Job)
}

/// The result of a piece of work; a panic in it is a failure like any other, or it would
/// end the queue for everybody.
async fn caught(work: BoxFuture<'_, Result<bool, sqlx::Error>>) -> Result<bool, sqlx::Error> {
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| Err(sqlx::Error::Protocol("a piece of writing panicked".into())))
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
