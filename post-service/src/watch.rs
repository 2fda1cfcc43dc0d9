//! New posts, as they are committed: by this process, which says so at once, or by
//! another one on the same database, which is looked for every now and then.
//!
//! One task reads what is new and hands it to all who watch. Each of them keeps its own
//! place in the order of the ids: whoever finds a gap before what it is handed, because it
//! has just begun or is slow, reads the missing posts from the database. So nothing is
//! missed and nothing sent twice, and nothing is kept for a slow one but a few batches.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, broadcast},
    time::{Instant, sleep},
};

use crate::{
    error::Error,
    post::{AuthorId, Post},
    settings::WatchSettings,
    store::{News, Store},
};

/// What is new, for all who watch. Copies of it are cheap and share the watchers.
#[derive(Clone, Debug)]
pub struct Feed {
    store: Store,
    batches: broadcast::Sender<Arc<Batch>>,
    wake: Arc<Notify>,
    places: Arc<Semaphore>,
    settings: WatchSettings,
}

/// All posts with ids above `after` and up to `until`.
#[derive(Debug)]
struct Batch {
    after: i64,
    until: i64,
    posts: Vec<Post>,
    read: Instant,
}

/// One who watches.
#[derive(Debug)]
pub struct Watch {
    store: Store,
    batches: broadcast::Receiver<Arc<Batch>>,
    author: Option<AuthorId>,
    /// Every post up to this id was sent, or is not wanted.
    seen: i64,
    /// A batch that is older is read anew: a post is sent as it is then.
    fresh: Duration,
    /// Whether there may be posts after it that were handed out before.
    behind: bool,
    _place: OwnedSemaphorePermit,
}

impl Feed {
    /// A feed of the posts in `store`. Nothing is read until [`Feed::run`] runs.
    #[must_use]
    pub fn new(store: Store, settings: &WatchSettings) -> Self {
        Self {
            store,
            batches: broadcast::Sender::new(settings.watch_buffer.get()),
            wake: Arc::default(),
            places: Arc::new(Semaphore::new(settings.max_watchers.get())),
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
    ) -> Result<Watch, Error> {
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| Error::TooManyWatchers(self.settings.max_watchers.get()))?;
        // First the subscription, then the look: what comes between them is seen twice, and
        // dropped once, rather than missed.
        let batches = self.batches.subscribe();
        let seen = match after {
            Some(after) => after,
            None => self.store.newest().await?,
        };
        self.wake();
        Ok(Watch {
            store: self.store.clone(),
            batches,
            author,
            seen,
            fresh: self.settings.watch_poll,
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
                () = sleep(self.settings.watch_poll) => {}
            }
            let result = self.hand_out(&mut place).await;
            if let (Err(error), false) = (&result, failing) {
                tracing::warn!(%error, "new posts cannot be read; trying again");
            }
            failing = result.is_err();
        }
    }

    /// Hands out all that is new after `place`, which is where the last batch ended: there
    /// is none while nobody watches.
    async fn hand_out(&self, place: &mut Option<i64>) -> Result<(), Error> {
        if self.batches.receiver_count() == 0 {
            *place = None;
            return Ok(());
        }
        let Some(mut after) = *place else {
            // Whoever has not seen all up to here reads it from the database: an empty batch
            // shows the gap.
            let newest = self.store.newest().await?;
            self.send(newest, News::none(newest));
            *place = Some(newest);
            return Ok(());
        };
        loop {
            let news = self.store.news(after, None).await?;
            let (until, more) = (news.until, news.more);
            if !news.posts.is_empty() {
                self.send(after, news);
            }
            after = until;
            *place = Some(until);
            if !more {
                return Ok(());
            }
        }
    }

    fn send(&self, after: i64, news: News) {
        let News { posts, until, .. } = news;
        // The last watcher may have left meanwhile.
        let _ = self.batches.send(Arc::new(Batch {
            after,
            until,
            posts,
            read: Instant::now(),
        }));
    }
}

impl Watch {
    /// The next posts, in the order of their ids: at least one. Waits until there is one.
    ///
    /// # Errors
    ///
    /// Those of the database. Whoever watches again after the last post that it got misses
    /// nothing.
    pub async fn next(&mut self) -> Result<Vec<Post>, Error> {
        loop {
            let posts = if self.behind {
                let news = self.store.news(self.seen, self.author).await?;
                self.behind = news.more;
                self.seen = news.until;
                news.posts
            } else {
                self.handed_out().await?
            };
            if !posts.is_empty() {
                return Ok(posts);
            }
        }
    }

    /// The wanted posts of the next batch, unless there is a gap before it, or it waited for
    /// so long that its posts may have changed.
    async fn handed_out(&mut self) -> Result<Vec<Post>, Error> {
        match self.batches.recv().await {
            Ok(batch) if batch.after <= self.seen && batch.read.elapsed() < self.fresh => {
                let wanted = batch.posts.iter().filter(|post| {
                    post.id > self.seen && self.author.is_none_or(|author| author == post.author)
                });
                let posts = wanted.cloned().collect();
                self.seen = self.seen.max(batch.until);
                Ok(posts)
            }
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {
                self.behind = true;
                Ok(Vec::new())
            }
            Err(broadcast::error::RecvError::Closed) => {
                Err(chassis::database::Error::ShuttingDown.into())
            }
        }
    }
}
