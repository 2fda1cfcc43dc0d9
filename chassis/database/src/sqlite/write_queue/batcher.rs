//! Writes of one kind that come from many callers at once: whatever has gathered when the
//! turn of the first of them comes is one job of the queue, and done by few statements.
//!
//! It knows what a job of the queue has to be, and no statement.

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

use super::{Capacity, Place, Queue, Scope, batch::Job};
use crate::{Error, sqlite::result_code::unless_constraint};

/// How writes of one kind are done, each time at the time that it is then.
pub struct Ways<I, T, E> {
    /// How many rows a write has.
    pub rows: fn(&I) -> usize,
    /// All of them by one statement, or none: `None` if that cannot be, or would do less. A
    /// violation of a constraint means the same. No transaction need be open: the statement is
    /// one by itself.
    pub at_once: AtOnce<I, T>,
    /// Each of them, in their order, within a transaction that is begun and ended for it, with
    /// a result for each. What it refuses it has undone.
    pub each: Each<I, T, E>,
}

/// Does all writes by one statement, or none.
///
/// # Errors
///
/// If the engine fails: then nothing is written.
pub type AtOnce<I, T> = for<'c> fn(
    &'c mut SqliteConnection,
    &'c [I],
    DateTime<Utc>,
) -> BoxFuture<'c, Result<Option<Vec<T>>, sqlx::Error>>;

/// Does writes one by one, or as many together as can be.
///
/// # Errors
///
/// If the engine fails: then nothing of the transaction is written.
pub type Each<I, T, E> = for<'c> fn(
    &'c mut SqliteConnection,
    &'c [I],
    DateTime<Utc>,
) -> BoxFuture<'c, Result<Vec<Result<T, E>>, sqlx::Error>>;

impl<I, T, E> Ways<I, T, E> {
    /// Does all writes of a transaction that is open, with a result for each.
    async fn all(
        self,
        connection: &mut SqliteConnection,
        items: &[I],
        now: DateTime<Utc>,
    ) -> Result<Vec<Result<T, E>>, sqlx::Error> {
        match self.try_at_once(connection, items, now).await? {
            Some(done) => Ok(done.into_iter().map(Ok).collect()),
            None => (self.each)(connection, items, now).await,
        }
    }

    async fn try_at_once(
        self,
        connection: &mut SqliteConnection,
        items: &[I],
        now: DateTime<Utc>,
    ) -> Result<Option<Vec<T>>, sqlx::Error> {
        unless_constraint((self.at_once)(connection, items, now).await)
    }
}

impl<I, T, E> Clone for Ways<I, T, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I, T, E> Copy for Ways<I, T, E> {}

impl<I, T, E> fmt::Debug for Ways<I, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ways").finish_non_exhaustive()
    }
}

/// Where writes of one kind gather. Copies of it share what has gathered.
pub struct Bulk<I, T, E> {
    queue: Queue,
    ways: Ways<I, T, E>,
    clock: Clock,
    // What still waits in the queue, and may be joined.
    open: Arc<Mutex<Shared<I, T, E>>>,
}

impl<I, T, E> Clone for Bulk<I, T, E> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            ways: self.ways,
            clock: self.clock.clone(),
            open: Arc::clone(&self.open),
        }
    }
}

impl<I, T, E> fmt::Debug for Bulk<I, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bulk").finish_non_exhaustive()
    }
}

/// Who waits for a write.
struct Waiter<T, E> {
    queued: Instant,
    reply: oneshot::Sender<Result<T, E>>,
    // The runtime that it waits in.
    home: Handle,
    place: Option<Place>,
}

/// Writes, and who waits for each of them.
struct Gathering<I, T, E> {
    items: Vec<I>,
    waiters: Vec<Waiter<T, E>>,
    rows: usize,
    // For who may still join.
    capacity: Capacity,
}

/// What has gathered: nothing more may join it once that is `None`.
type Shared<I, T, E> = Arc<Mutex<Option<Gathering<I, T, E>>>>;

impl<I, T, E> Gathering<I, T, E> {
    fn new(capacity: Capacity) -> Self {
        Self {
            items: Vec::new(),
            waiters: Vec::new(),
            rows: 0,
            capacity,
        }
    }

    fn push(&mut self, item: I, waiter: Waiter<T, E>, rows: usize) {
        self.items.push(item);
        self.waiters.push(waiter);
        self.rows += rows;
    }

    /// Takes out those for whom `gone` is true, and gives who waited for them.
    fn take_out(&mut self, mut gone: impl FnMut(&Waiter<T, E>) -> bool) -> Vec<Waiter<T, E>> {
        let gone: Vec<_> = self.waiters.iter().map(&mut gone).collect();
        if !gone.contains(&true) {
            return Vec::new();
        }
        let mut of_item = gone.iter();
        self.items.retain(|_| of_item.next() == Some(&false));
        let mut of_waiter = gone.iter();
        let gone = |_: &mut Waiter<T, E>| of_waiter.next() == Some(&true);
        self.waiters.extract_if(.., gone).collect()
    }
}

impl<I, T, E> Bulk<I, T, E> {
    pub(in crate::sqlite) fn new(queue: Queue, ways: Ways<I, T, E>, clock: Clock) -> Self {
        Self {
            queue,
            ways,
            clock,
            open: Arc::default(),
        }
    }
}

impl<I, T, E> Bulk<I, T, E>
where
    I: Send + Sync + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    /// Does one write, together with others, and returns when it is on the disk.
    ///
    /// # Errors
    ///
    /// What the write was refused for, and those of [`Database::write`].
    ///
    /// [`Database::write`]: crate::sqlite::Database::write
    pub async fn write(&self, item: I) -> Result<T, E> {
        let (reply, answer) = oneshot::channel();
        let waiter = Waiter {
            queued: Instant::now(),
            reply,
            home: Handle::current(),
            place: Some(self.queue.place()?),
        };
        self.join(item, waiter)?;
        // The queue is dropped unanswered only when the process is being torn down.
        answer.await.unwrap_or(Err(Error::ShuttingDown.into()))
    }

    /// Joins what waits, or else begins something to be joined.
    fn join(&self, item: I, waiter: Waiter<T, E>) -> Result<(), Error> {
        let rows = (self.ways.rows)(&item);
        let mut open = lock(&self.open);
        if let Some(gathering) = lock(&open).as_mut()
            && gathering.capacity.take(1, rows)
        {
            gathering.push(item, waiter, rows);
            return Ok(());
        }
        let mut gathering = Gathering::new(self.queue.capacity);
        gathering.capacity.take(1, rows);
        gathering.push(item, waiter, rows);
        *open = Arc::new(Mutex::new(Some(gathering)));
        self.queue.send(Box::new(Gathered {
            open: Arc::clone(&open),
            closed: None,
            ways: self.ways,
            clock: self.clock.clone(),
            tried: false,
            results: Vec::new(),
        }))
    }
}

/// The job of what has gathered.
struct Gathered<I, T, E> {
    /// Where others join, until it is done or tried.
    open: Shared<I, T, E>,
    /// Who is in it from then on.
    closed: Option<Gathering<I, T, E>>,
    ways: Ways<I, T, E>,
    clock: Clock,
    /// Whether it could not be done at once.
    tried: bool,
    results: Vec<Result<T, E>>,
}

impl<I, T, E> Gathered<I, T, E> {
    /// Does something with those who wait for it, if there are any.
    fn with<R>(&mut self, f: impl FnOnce(&mut Gathering<I, T, E>) -> R) -> Option<R> {
        match &mut self.closed {
            Some(closed) => Some(f(closed)),
            None => lock(&self.open).as_mut().map(f),
        }
    }

    /// Takes out those for whom `gone` is true. If none is left, none can join any more.
    fn take_out(&mut self, gone: impl FnMut(&Waiter<T, E>) -> bool) -> Vec<Waiter<T, E>> {
        let gone = self.with(|gathering| gathering.take_out(gone));
        if self.is_empty() {
            self.close();
        }
        gone.unwrap_or_default()
    }

    fn is_empty(&mut self) -> bool {
        self.with(|gathering| gathering.items.is_empty())
            .unwrap_or(true)
    }

    /// Those who wait, whom none can join any more.
    fn close(&mut self) -> &mut Gathering<I, T, E> {
        self.closed.get_or_insert_with(|| {
            let open = lock(&self.open).take();
            open.unwrap_or_else(|| Gathering::new(Capacity::NONE))
        })
    }

    /// Does all of it by one statement, if that can be. Says whether it was done.
    async fn at_once(&mut self, connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
        let (ways, now) = (self.ways, self.clock.now());
        let done = ways
            .try_at_once(connection, &self.close().items, now)
            .await?;
        self.tried = true;
        let Some(done) = done else {
            return Ok(false);
        };
        self.keep(done.into_iter().map(Ok).collect())?;
        Ok(true)
    }

    fn keep(&mut self, results: Vec<Result<T, E>>) -> Result<(), sqlx::Error> {
        let (writes, count) = (self.close().items.len(), results.len());
        self.results = results;
        if count == writes {
            Ok(())
        } else {
            Err(sqlx::Error::Protocol(format!(
                "{writes} writes have {count} results"
            )))
        }
    }
}

/// A job that is dropped undone lets go of those who wait for it, and of those who would
/// have joined them.
impl<I, T, E> Drop for Gathered<I, T, E> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<I, T, E> Job for Gathered<I, T, E>
where
    I: Send + Sync + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    fn take(&mut self, capacity: &mut Capacity) -> bool {
        let taken = self.with(|gathering| {
            if !capacity.take(gathering.items.len(), gathering.rows) {
                return false;
            }
            for waiter in &mut gathering.waiters {
                waiter.place = None;
            }
            gathering.capacity = Capacity::NONE;
            true
        });
        taken.unwrap_or(true)
    }

    fn give(&mut self, capacity: Capacity) {
        self.with(|gathering| gathering.capacity = capacity);
    }

    fn abandoned(&mut self) -> bool {
        self.take_out(|waiter| waiter.reply.is_closed());
        self.is_empty()
    }

    fn late(&mut self, wait: Duration) -> bool {
        for waiter in self.take_out(|waiter| waiter.queued.elapsed() >= wait) {
            let _ = waiter.reply.send(Err(Error::Busy.into()));
        }
        self.is_empty()
    }

    fn scope(&self) -> Scope {
        Scope::Batch
    }

    fn run_at_once<'c>(
        &'c mut self,
        connection: &'c mut SqliteConnection,
    ) -> BoxFuture<'c, Result<bool, sqlx::Error>> {
        Box::pin(self.at_once(connection))
    }

    fn run<'c>(
        &'c mut self,
        connection: &'c mut SqliteConnection,
    ) -> BoxFuture<'c, Result<bool, sqlx::Error>> {
        Box::pin(async move {
            let (ways, tried, now) = (self.ways, self.tried, self.clock.now());
            let items = &self.close().items;
            let results = if tried {
                (ways.each)(connection, items, now).await?
            } else {
                ways.all(connection, items, now).await?
            };
            self.keep(results)?;
            Ok(true)
        })
    }

    fn succeed(mut self: Box<Self>) {
        let results = mem::take(&mut self.results);
        answer(self.close().waiters.drain(..).zip(results));
    }

    fn fail(mut self: Box<Self>, error: Error) {
        let waiters = self.close().waiters.drain(..);
        answer(waiters.map(|waiter| (waiter, Err(error.clone().into()))));
    }
}

/// Answers those who wait. To wake one who waits in another runtime is a call of the system,
/// so all who wait in one are woken by a task there.
fn answer<T, E>(answers: impl Iterator<Item = (Waiter<T, E>, Result<T, E>)>)
where
    T: Send + 'static,
    E: Send + 'static,
{
    let here = Handle::current().id();
    let mut elsewhere: Vec<(Handle, Vec<_>)> = Vec::new();
    for (waiter, result) in answers {
        let home = waiter.home.id();
        if home == here {
            // A caller that went away meanwhile misses its answer, as over any network.
            let _ = waiter.reply.send(result);
            continue;
        }
        let there = elsewhere.iter_mut().find(|(handle, _)| handle.id() == home);
        match there {
            Some((_, answers)) => answers.push((waiter.reply, result)),
            None => elsewhere.push((waiter.home, vec![(waiter.reply, result)])),
        }
    }
    for (home, answers) in elsewhere {
        home.spawn(async move {
            for (reply, result) in answers {
                let _ = reply.send(result);
            }
        });
    }
}

/// The lock of what only this module holds, and never across a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
