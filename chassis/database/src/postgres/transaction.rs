//! Transactions with retries. Each attempt has a bound, after which its connection is closed.
//!
//! A transaction is retried only while nothing can have been written. It never sends a cancel
//! request: one may arrive after the next statement has begun, and a COMMIT that waits for a standby
//! would be acknowledged without it.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, pool::PoolConnection};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::failure::Failure;
use crate::{Error, WriteError, settings::DatabaseSettings};

/// The pause before the first retry. It doubles with each retry.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(5);

/// The longest pause between two retries.
const MAX_RETRY_DELAY: Duration = Duration::from_millis(200);

/// A function that executes the statements of a transaction. It is executed again in each retry.
pub trait Work<T, E>:
    for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<T, WriteError<E>>> + Send + Sync + 'static
{
}

impl<T, E, W> Work<T, E> for W where
    W: for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<T, WriteError<E>>>
        + Send
        + Sync
        + 'static
{
}

/// Returns a closure unchanged. Its type tells the compiler that the future borrows the connection.
pub(super) fn work<T, E, W: Work<T, E>>(work: W) -> W {
    work
}

/// The transaction of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transaction {
    /// Each statement is its own transaction, and reads only.
    None,
    /// A read-only transaction whose statements see one snapshot.
    Snapshot,
    /// A transaction whose outcome is unknown if the connection is lost during the COMMIT.
    Write,
    /// A transaction that is repeated if its outcome is unknown: it has an idempotency record,
    /// which tells the repetition whether it was committed.
    Resolvable,
    /// A transaction that is rolled back, since the caller only asks whether it would succeed
    /// (AIP-163).
    ValidateOnly,
}

impl Transaction {
    /// Returns whether it ends with a COMMIT that matters.
    fn writes(self) -> bool {
        matches!(self, Self::Write | Self::Resolvable)
    }
}

/// Executes transactions on the connections of one pool. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Runner {
    pool: PgPool,
    /// Begins a transaction with the limits of its statements.
    begin: Arc<str>,
    begin_snapshot: Arc<str>,
    /// Reads need a transaction, since it sets the role.
    sets_role: bool,
    /// The longest time of an attempt.
    statement_timeout: Duration,
    /// The time after which a transaction is not retried.
    retry_timeout: Duration,
    /// The last attempt to connect failed.
    unreachable: Arc<AtomicBool>,
}

impl Runner {
    pub(super) fn new(pool: PgPool, settings: &DatabaseSettings, role: &str) -> Self {
        // In one message with BEGIN, so that they cost no round trip. They last until the end of the
        // transaction: a pooler may use the connection for another client afterwards.
        let mut limits = format!(
            "set local lock_timeout = {}; set local statement_timeout = {}",
            settings.lock_timeout.as_millis(),
            settings.statement_timeout.as_millis(),
        );
        if settings.set_role {
            limits = format!("{limits}; set local role {role}");
        }
        Self {
            pool,
            begin: format!("begin; {limits}").into(),
            begin_snapshot: format!("begin isolation level repeatable read read only; {limits}")
                .into(),
            sets_role: settings.set_role,
            statement_timeout: settings.statement_timeout,
            retry_timeout: settings.lock_timeout,
            unreachable: Arc::default(),
        }
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    /// Executes `work` in a transaction. Retries it after failures that a retry may cure, until
    /// `LOCK_TIMEOUT` has passed or the caller is gone.
    pub(super) async fn run<T, E: From<Error>>(
        &self,
        transaction: Transaction,
        work: &impl Work<T, E>,
        abandoned: impl Fn() -> bool,
    ) -> Result<T, E> {
        let start = Instant::now();
        let mut delay = MIN_RETRY_DELAY;
        let mut unknown = false;
        loop {
            let (error, retry) = match self.attempt(transaction, work).await {
                Ok(result) => return result,
                Err(Failure::Final(error)) => (error, false),
                Err(Failure::Retry(error)) => (error, true),
                Err(Failure::Unknown) => {
                    unknown = true;
                    let resolvable = transaction == Transaction::Resolvable;
                    (Error::OutcomeUnknown, resolvable)
                }
            };
            if !retry || start.elapsed() >= self.retry_timeout || abandoned() {
                // A failed repetition does not tell whether the first attempt was committed.
                let error = if unknown {
                    Error::OutcomeUnknown
                } else {
                    error
                };
                return Err(error.into());
            }
            sleep(jittered(delay)).await;
            delay = (2 * delay).min(MAX_RETRY_DELAY);
        }
    }

    /// Executes `work` once.
    async fn attempt<T, E: From<Error>>(
        &self,
        transaction: Transaction,
        work: &impl Work<T, E>,
    ) -> Result<Result<T, E>, Failure> {
        let mut owned = self.acquire().await?;
        let connection = &mut *owned.connection;
        let begin = match transaction {
            Transaction::None if !self.sets_role => None,
            Transaction::None | Transaction::Snapshot => Some(&self.begin_snapshot),
            _ => Some(&self.begin),
        };

        let executed = timeout(self.statement_timeout, async {
            if let Some(begin) = begin {
                execute(connection, Arc::clone(begin)).await?;
            }
            let work = AssertUnwindSafe(work(connection)).catch_unwind();
            work.await
                .unwrap_or_else(|_| Err(sqlx::Error::WorkerCrashed.into()))
        });
        let result = match executed.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(WriteError::Rejected(rejection))) => Err(rejection),
            Ok(Err(WriteError::Database(error))) => {
                // After an error of BEGIN it is unknown whether a transaction is open.
                return Err(Failure::of_statement(error));
            }
            Err(_) => return Err(Failure::Final(Error::Busy)),
        };
        if begin.is_some() {
            let commits = transaction.writes() && result.is_ok();
            let end = if commits { "commit" } else { "rollback" };
            let ended = timeout(self.statement_timeout, execute(connection, end.into())).await;
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) if commits => return Err(Failure::of_commit(&error)),
                Err(_) if commits => return Err(Failure::Unknown),
                // The transaction has no effect: the server rolls it back with the connection.
                _ => return Ok(result),
            }
        }
        owned.release();
        Ok(result)
    }

    /// Acquires a connection. Logs the first failure to connect, and the end of such failures.
    async fn acquire(&self) -> Result<OwnedConnection, Failure> {
        let acquired = self.pool.acquire().await;
        let error = match acquired {
            Ok(connection) => {
                if self.unreachable.load(Relaxed) && self.unreachable.swap(false, Relaxed) {
                    tracing::info!("database reached again");
                }
                return Ok(OwnedConnection {
                    connection,
                    reusable: false,
                });
            }
            Err(sqlx::Error::PoolClosed) => return Err(Failure::Final(Error::ShuttingDown)),
            Err(sqlx::Error::PoolTimedOut) if self.is_exhausted() => {
                return Err(Failure::Final(Error::Overloaded));
            }
            Err(error) => error,
        };
        if !self.unreachable.swap(true, Relaxed) {
            tracing::warn!(%error, "database cannot be reached");
        }
        Err(Failure::Retry(Error::Busy))
    }

    /// Returns whether all connections are open and in use.
    fn is_exhausted(&self) -> bool {
        self.pool.size() >= self.pool.options().get_max_connections() && self.pool.num_idle() == 0
    }
}

/// A connection of the pool. Dropping it closes it, since a transaction may be open or a response
/// outstanding.
struct OwnedConnection {
    connection: PoolConnection<Postgres>,
    reusable: bool,
}

impl OwnedConnection {
    /// Returns the connection to the pool.
    fn release(mut self) {
        self.reusable = true;
    }
}

impl Drop for OwnedConnection {
    fn drop(&mut self) {
        if !self.reusable {
            self.connection.close_on_drop();
        }
    }
}

async fn execute(connection: &mut PgConnection, statements: Arc<str>) -> Result<(), sqlx::Error> {
    // They contain no text of a caller.
    let statements = sqlx::raw_sql(AssertSqlSafe(statements));
    statements.execute(connection).await.map(drop)
}

/// Returns a random duration between 1/2 and 1 of `delay`, so that transactions that met once do not
/// meet again.
fn jittered(delay: Duration) -> Duration {
    let random = f64::from(u16::from_ne_bytes(random_bytes()));
    delay.mul_f64(0.5 + random / f64::from(u16::MAX) / 2.0)
}

fn random_bytes() -> [u8; 2] {
    let [first, second, ..] = Uuid::new_v4().into_bytes();
    [first, second]
}
