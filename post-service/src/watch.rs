//! New posts, as they are committed: by this process, which says so at once, or by
//! another one on the same database, which is looked for every now and then.
//!
//! One task reads what is new and hands it to all who watch. Each of them keeps its own
//! place in the order of the ids: whoever finds a gap before what it is handed, because it
//! has just begun or is slow, reads the missing posts from the database. So nothing is
//! missed and nothing sent twice, and nothing is kept for a slow one but a few batches.
//! What is sent of a batch is the same for all who want the same of it, and is made once: an
//! `M`, of which the feed knows nothing.

use std::{
    collections::HashMap,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, OnceCell, OwnedSemaphorePermit, Semaphore, broadcast},
    time::{Instant, sleep},
};

use crate::{
    error::Error,
    post::{AuthorId, Post, View},
    settings::WatchSettings,
    store::{PostStore, PostsSince},
};

/// After a batch the next one waits for so long at least, and has all that is committed
/// meanwhile: who watch are woken for each batch, not for each commit.
const PAUSE: Duration = Duration::from_millis(5);

/// What is new, for all who watch. Copies of it are cheap and share the watchers.
#[derive(Clone, Debug)]
pub struct Feed<M, S> {
    store: S,
    batches: broadcast::Sender<Arc<Batch<M>>>,
    wake: Arc<Notify>,
    places: Arc<Semaphore>,
    /// How many have ever begun to watch.
    begun: Arc<AtomicU64>,
    settings: WatchSettings,
}

/// Where the feed stands.
#[derive(Clone, Copy, Debug)]
struct Standing {
    /// The last batch ended here.
    after: i64,
    /// How many of those who ever began to watch have been shown where it stands.
    shown: u64,
}

/// All posts with ids above `after` and up to `until`.
#[derive(Debug)]
struct Batch<M> {
    after: i64,
    until: i64,
    posts: Vec<Post>,
    read: Instant,
    /// What is sent to those who wish for it, which one of them makes for all.
    made: Mutex<HashMap<Wish, Arc<OnceCell<M>>>>,
}

/// What one who watches wants of a batch: the posts after an id, perhaps of one author only,
/// and how much of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Wish {
    after: i64,
    author: Option<AuthorId>,
    view: View,
}

/// Those posts of a batch that one who watches wants.
#[derive(Debug)]
pub struct Wanted<M> {
    batch: Arc<Batch<M>>,
    wish: Wish,
}

/// One who watches.
#[derive(Debug)]
pub struct Watch<M, S> {
    store: S,
    batches: broadcast::Receiver<Arc<Batch<M>>>,
    author: Option<AuthorId>,
    view: View,
    /// Every post up to this id was sent, or is not wanted.
    seen: i64,
    /// A batch that is older is read anew: a post is sent as it is then.
    fresh: Duration,
    /// Whether there may be posts after it that were handed out before.
    behind: bool,
    _place: OwnedSemaphorePermit,
}

impl<M, S: PostStore> Feed<M, S> {
    /// A feed of the posts in `store`. Nothing is read until [`Feed::run`] runs.
    #[must_use]
    pub fn new(store: S, settings: &WatchSettings) -> Self {
        Self {
            store,
            batches: broadcast::Sender::new(settings.watch_buffer_batches.get()),
            wake: Arc::default(),
            places: Arc::new(Semaphore::new(settings.max_watchers.get())),
            begun: Arc::default(),
            settings: settings.clone(),
        }
    }

    /// Says that this process has committed a post.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Begins to watch, after the post `after` or else after the newest.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyWatchers`], and those of the database.
    pub async fn watch(
        &self,
        author: Option<AuthorId>,
        after: Option<i64>,
        view: View,
    ) -> Result<Watch<M, S>, Error> {
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| Error::TooManyWatchers(self.settings.max_watchers.get()))?;
        // First the subscription, then the look: what comes between them is seen twice, and
        // dropped once, rather than missed.
        let batches = self.batches.subscribe();
        let seen = match after {
            Some(after) => after,
            None => self.store.max_id().await?,
        };
        self.begun.fetch_add(1, Ordering::Release);
        self.wake();
        Ok(Watch {
            store: self.store.clone(),
            batches,
            author,
            view,
            seen,
            fresh: self.store.poll_interval(),
            behind: after.is_some(),
            _place: place,
        })
    }

    /// Hands out what is new, for as long as it is polled.
    pub async fn run(&self) {
        let mut place = None;
        let mut failing = false;
        loop {
            tokio::select! {
                () = self.wake.notified() => {}
                () = sleep(self.store.poll_interval()) => {}
            }
            let result = self.hand_out(&mut place).await;
            if let (Err(error), false) = (&result, failing) {
                tracing::warn!(%error, "new posts cannot be read; trying again");
            }
            failing = result.is_err();
            sleep(PAUSE).await;
        }
    }

    /// Hands out all that is new after `place`, which is where the last batch ended: there
    /// is none while nobody watches.
    async fn hand_out(&self, place: &mut Option<Standing>) -> Result<(), Error> {
        if self.batches.receiver_count() == 0 {
            *place = None;
            return Ok(());
        }
        // Before it is read what they may have to be shown.
        let begun = self.begun.load(Ordering::Acquire);
        let mut standing = match *place {
            Some(standing) => standing,
            None => Standing {
                after: self.store.max_id().await?,
                shown: 0,
            },
        };
        loop {
            let news = self.store.posts_since(standing.after, None).await?;
            let (until, more) = (news.until, news.more);
            if !news.posts.is_empty() {
                self.send(Batch::new(standing.after, news));
            }
            // It is lower than before if the newest are there no more, as after a restore.
            standing.after = until;
            *place = Some(standing);
            if !more {
                break;
            }
        }
        // Whoever has not seen all up to here reads it from the database: an empty batch shows
        // the gap.
        if standing.shown != begun {
            self.send(Batch::new(
                standing.after,
                PostsSince::empty(standing.after),
            ));
            standing.shown = begun;
            *place = Some(standing);
        }
        Ok(())
    }

    fn send(&self, batch: Batch<M>) {
        // The last watcher may have left meanwhile.
        let _ = self.batches.send(Arc::new(batch));
    }
}

impl<M> Batch<M> {
    fn new(after: i64, PostsSince { posts, until, .. }: PostsSince) -> Self {
        Self {
            after,
            until,
            posts,
            read: Instant::now(),
            made: Mutex::default(),
        }
    }
}

impl<M> Wanted<M> {
    /// The posts, in the order of their ids.
    pub fn posts(&self) -> impl Iterator<Item = &Post> {
        let Wish { after, author, .. } = self.wish;
        self.batch.posts.iter().filter(move |post| {
            post.id > after && author.is_none_or(|author| author == post.author)
        })
    }

    /// How much of them is wanted.
    #[must_use]
    pub fn view(&self) -> View {
        self.wish.view
    }

    /// What is sent of them. One of all who want the same makes it, while the others wait; if it
    /// fails or goes away, another one does. Who begins has to go on when it is woken, as bodies
    /// of answers do: they are asked for more before their client's window is.
    ///
    /// # Errors
    ///
    /// Those of making it.
    pub async fn sent<E, F>(&self, make: impl FnOnce() -> F) -> Result<M, E>
    where
        M: Clone,
        F: Future<Output = Result<M, E>>,
    {
        let cell = {
            let cells = self.batch.made.lock();
            let mut cells = cells.unwrap_or_else(PoisonError::into_inner);
            Arc::clone(cells.entry(self.wish).or_default())
        };
        cell.get_or_try_init(make).await.cloned()
    }
}

impl<M, S: PostStore> Watch<M, S> {
    /// The next posts: at least one. Waits until there is one.
    ///
    /// # Errors
    ///
    /// Those of the database. Whoever watches again after the last post that it got misses
    /// nothing.
    pub async fn next(&mut self) -> Result<Wanted<M>, Error> {
        loop {
            let batch = if self.behind {
                let news = self.store.posts_since(self.seen, self.author).await?;
                self.behind = news.more;
                Some(Arc::new(Batch::new(self.seen, news)))
            } else {
                self.handed_out().await?
            };
            let Some(batch) = batch else {
                continue;
            };
            let wish = Wish {
                after: self.seen,
                author: self.author,
                view: self.view,
            };
            self.seen = self.seen.max(batch.until);
            let wanted = Wanted { batch, wish };
            if wanted.posts().next().is_some() {
                return Ok(wanted);
            }
        }
    }

    /// The next batch, unless there is a gap before it, or it waited for so long that its posts
    /// may have changed.
    async fn handed_out(&mut self) -> Result<Option<Arc<Batch<M>>>, Error> {
        match self.batches.recv().await {
            Ok(batch) if batch.after <= self.seen && batch.read.elapsed() < self.fresh => {
                Ok(Some(batch))
            }
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {
                self.behind = true;
                Ok(None)
            }
            Err(broadcast::error::RecvError::Closed) => {
                Err(chassis::database::Error::ShuttingDown.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use futures::{join, poll};
    use tokio::task::yield_now;

    use super::*;

    const ALL: Wish = Wish {
        after: 0,
        author: None,
        view: View::Full,
    };

    /// Those who want something of one batch.
    fn wanted<const N: usize>(wishes: [Wish; N]) -> [Wanted<u64>; N] {
        let batch = Arc::new(Batch::new(0, PostsSince::empty(7)));
        wishes.map(|wish| Wanted {
            batch: Arc::clone(&batch),
            wish,
        })
    }

    #[tokio::test]
    async fn what_is_sent_to_those_who_want_the_same_is_made_once() {
        let other = Wish {
            view: View::Basic,
            ..ALL
        };
        let [first, second, other] = &wanted([ALL, ALL, other]);
        let count = AtomicU64::new(0);
        let make = || async {
            yield_now().await;
            Ok::<_, Error>(count.fetch_add(1, Ordering::Relaxed))
        };

        let (first, second, other) = join!(first.sent(make), second.sent(make), other.sent(make));

        assert_eq!(first.unwrap(), second.unwrap());
        assert_eq!(other.unwrap(), 1);
        assert_eq!(count.into_inner(), 2);
    }

    #[tokio::test]
    async fn what_one_left_half_made_the_next_one_makes() {
        let [first, second] = &wanted([ALL, ALL]);
        let mut gone = Box::pin(first.sent(async || {
            yield_now().await;
            Ok::<_, Error>(1)
        }));

        assert!(poll!(gone.as_mut()).is_pending());
        drop(gone);

        let made = second.sent(async || Ok::<_, Error>(2)).await;
        assert_eq!(made.unwrap(), 2);
    }

    #[tokio::test]
    async fn what_one_could_not_make_the_next_one_makes() {
        let [first, second] = &wanted([ALL, ALL]);

        let failed = first.sent(async || Err(Error::NotFound(1))).await;
        let made = second.sent(async || Ok::<_, Error>(2)).await;

        assert!(matches!(failed, Err(Error::NotFound(1))), "{failed:?}");
        assert_eq!(made.unwrap(), 2);
    }
}
