//! Writes of one kind that come from many callers at once: whatever has gathered when the
//! turn of the first of them comes is one job of the queue, and done by few statements.
//!
//! It knows what a job of the queue has to be, and no statement.

use std::{
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use sqlx::SqliteConnection;
use tokio::{sync::oneshot, time::Instant};

use super::{Place, Queue, Scope, batch::Job};
use crate::database::Error;

/// Does writes of one kind, in their order, within a transaction that is begun and ended
/// for it, and gives a result for each of them. What it refuses it has undone.
///
/// # Errors
///
/// If the engine fails: then nothing of the transaction is written.
pub type All<I, T, E> = for<'c> fn(
    &'c mut SqliteConnection,
    &'c [I],
) -> BoxFuture<'c, Result<Vec<Result<T, E>>, sqlx::Error>>;

/// Where writes of one kind gather. Copies of it share what has gathered.
pub struct Bulk<I, T, E> {
    queue: Queue,
    all: All<I, T, E>,
    // What still waits in the queue, and may be joined.
    open: Arc<Mutex<Shared<I, T, E>>>,
}

impl<I, T, E> Clone for Bulk<I, T, E> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            all: self.all,
            open: Arc::clone(&self.open),
        }
    }
}

impl<I, T, E> fmt::Debug for Bulk<I, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bulk").finish_non_exhaustive()
    }
}

/// One write, and who waits for it.
struct Seat<I, T, E> {
    item: I,
    queued: Instant,
    reply: oneshot::Sender<Result<T, E>>,
    place: Option<Place>,
}

/// What has gathered: nothing more may join it once that is `None`.
type Shared<I, T, E> = Arc<Mutex<Option<Vec<Seat<I, T, E>>>>>;

impl<I, T, E> Bulk<I, T, E> {
    pub(in crate::database) fn new(queue: Queue, all: All<I, T, E>) -> Self {
        Self {
            queue,
            all,
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
    /// [`Database::write`]: crate::database::Database::write
    pub async fn write(&self, item: I) -> Result<T, E> {
        let (reply, answer) = oneshot::channel();
        self.join(Seat {
            item,
            queued: Instant::now(),
            reply,
            place: Some(self.queue.place()?),
        })?;
        // The queue is dropped unanswered only when the process is being torn down.
        answer.await.unwrap_or(Err(Error::ShuttingDown.into()))
    }

    /// Joins what waits, or else begins something to be joined.
    fn join(&self, seat: Seat<I, T, E>) -> Result<(), Error> {
        let mut open = lock(&self.open);
        if let Some(seats) = lock(&open).as_mut()
            && seats.len() < self.queue.batch
        {
            seats.push(seat);
            return Ok(());
        }
        *open = Arc::new(Mutex::new(Some(vec![seat])));
        self.queue.send(Box::new(Gathered {
            seats: Arc::clone(&open),
            all: self.all,
            replies: Vec::new(),
            results: Vec::new(),
        }))
    }
}

/// The job of what has gathered.
struct Gathered<I, T, E> {
    seats: Shared<I, T, E>,
    all: All<I, T, E>,
    replies: Vec<oneshot::Sender<Result<T, E>>>,
    results: Vec<Result<T, E>>,
}

impl<I, T, E> Gathered<I, T, E> {
    /// Takes out those for whom `gone` is true. If none is left, none can join any more.
    fn take_out(&mut self, gone: impl FnMut(&mut Seat<I, T, E>) -> bool) -> Vec<Seat<I, T, E>> {
        let mut seats = lock(&self.seats);
        let Some(waiting) = seats.as_mut() else {
            return Vec::new();
        };
        let gone = waiting.extract_if(.., gone).collect();
        if waiting.is_empty() {
            *seats = None;
        }
        gone
    }

    fn is_empty(&self) -> bool {
        lock(&self.seats).is_none()
    }

    /// Those who wait, whom none can join any more.
    fn close(&self) -> Vec<Seat<I, T, E>> {
        lock(&self.seats).take().unwrap_or_default()
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
    fn taken(&mut self) {
        if let Some(seats) = lock(&self.seats).as_mut() {
            for seat in seats {
                seat.place = None;
            }
        }
    }

    fn abandoned(&mut self) -> bool {
        self.take_out(|seat| seat.reply.is_closed());
        self.is_empty()
    }

    fn late(&mut self, wait: Duration) -> bool {
        for seat in self.take_out(|seat| seat.queued.elapsed() >= wait) {
            let _ = seat.reply.send(Err(Error::Busy.into()));
        }
        self.is_empty()
    }

    fn scope(&self) -> Scope {
        Scope::Batch
    }

    fn run<'c>(
        &'c mut self,
        connection: &'c mut SqliteConnection,
    ) -> BoxFuture<'c, Result<bool, sqlx::Error>> {
        Box::pin(async move {
            let seats = self.close().into_iter();
            let (items, replies): (Vec<_>, _) = seats.map(|seat| (seat.item, seat.reply)).unzip();
            self.replies = replies;
            self.results = (self.all)(connection, &items).await?;
            if self.results.len() == items.len() {
                Ok(true)
            } else {
                Err(sqlx::Error::Protocol(format!(
                    "{} writes have {} results",
                    items.len(),
                    self.results.len()
                )))
            }
        })
    }

    fn succeed(mut self: Box<Self>) {
        let results = mem::take(&mut self.results);
        for (reply, result) in self.replies.drain(..).zip(results) {
            // A caller that went away meanwhile misses its answer, as over any network.
            let _ = reply.send(result);
        }
    }

    fn fail(mut self: Box<Self>, error: Error) {
        let waiting = self.close().into_iter().map(|seat| seat.reply);
        for reply in waiting.chain(self.replies.drain(..)) {
            let _ = reply.send(Err(error.clone().into()));
        }
    }
}

/// The lock of what only this module holds, and never across a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
