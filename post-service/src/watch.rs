//! The feed of new posts, for the watchers of this process.
//!
//! A single task reads the new posts and publishes them in batches to all subscriptions. It
//! is woken when this process commits a post, and polls for the commits of other processes. Each
//! subscription tracks the last id that it has seen. If a batch starts after that id, because
//! the subscription is new or lagged, it reads the missing posts from the database. Thus no post
//! is missed or sent twice, and a slow watcher holds only a few batches in memory.
//!
//! The encoded form `M` of a batch is made once for all subscriptions with an equal filter.

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

/// The minimum interval between two reads for the feed. A batch has all commits of this time,
/// thus watchers are woken once for a batch and not once for a commit.
const MIN_BATCH_INTERVAL: Duration = Duration::from_millis(5);

/// The feed of new posts. Clones share the subscriptions.
#[derive(Clone, Debug)]
pub struct Feed<M, S> {
    store: S,
    batches: broadcast::Sender<Arc<Batch<M>>>,
    wake: Arc<Notify>,
    permits: Arc<Semaphore>,
    /// The number of subscriptions since the start.
    subscriptions: Arc<AtomicU64>,
    settings: WatchSettings,
}

/// The position of the feed.
#[derive(Clone, Copy, Debug)]
struct FeedCursor {
    /// The end of the last batch.
    after: i64,
    /// The number of subscriptions, since the start, that have been sent this position.
    notified_subscribers: u64,
}

/// All posts with ids above `after` and up to `until`.
#[derive(Debug)]
struct Batch<M> {
    after: i64,
    until: i64,
    posts: Vec<Post>,
    read_at: Instant,
    /// The encoded posts for each filter. The first subscription with a filter encodes them.
    encoded: Mutex<HashMap<BatchFilter, Arc<OnceCell<M>>>>,
}

/// A filter for the posts of a batch: the posts after an id, of one author if one is given, and
/// the view to encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct BatchFilter {
    after: i64,
    author_id: Option<AuthorId>,
    view: View,
}

/// A batch with the filter of one subscription.
#[derive(Debug)]
pub struct FilteredBatch<M> {
    batch: Arc<Batch<M>>,
    filter: BatchFilter,
}

/// The subscription of one watcher.
#[derive(Debug)]
pub struct Subscription<M, S> {
    store: S,
    batches: broadcast::Receiver<Arc<Batch<M>>>,
    author_id: Option<AuthorId>,
    view: View,
    /// Every post up to this id was sent or does not match the filter.
    seen: i64,
    /// The age at which a batch is read again, so that a watcher gets posts as they are stored.
    max_age: Duration,
    /// `true` while the database may have posts after `seen` that were published before.
    catching_up: bool,
    _permit: OwnedSemaphorePermit,
}

impl<M, S: PostStore> Feed<M, S> {
    /// Returns a feed of the posts in `store`. It publishes posts while [`Feed::run`] is polled.
    #[must_use]
    pub fn new(store: S, settings: &WatchSettings) -> Self {
        Self {
            store,
            batches: broadcast::Sender::new(settings.watch_buffer_batches.get()),
            wake: Arc::default(),
            permits: Arc::new(Semaphore::new(settings.max_watchers.get())),
            subscriptions: Arc::default(),
            settings: settings.clone(),
        }
    }

    /// Wakes the feed after this process has committed a post.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Subscribes to the posts after the id `after`, or after the newest post if it is `None`.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyWatchers`], and those of the database.
    pub async fn subscribe(
        &self,
        author_id: Option<AuthorId>,
        after: Option<i64>,
        view: View,
    ) -> Result<Subscription<M, S>, Error> {
        let permit = Arc::clone(&self.permits)
            .try_acquire_owned()
            .map_err(|_| Error::TooManyWatchers(self.settings.max_watchers.get()))?;
        // Subscribe before reading the newest id: a post that is committed in between arrives
        // twice and is dropped once. In the other order it would be missed.
        let batches = self.batches.subscribe();
        let seen = match after {
            Some(after) => after,
            None => self.store.max_id().await?,
        };
        self.subscriptions.fetch_add(1, Ordering::Release);
        self.wake();
        Ok(Subscription {
            store: self.store.clone(),
            batches,
            author_id,
            view,
            seen,
            max_age: self.store.poll_interval(),
            catching_up: after.is_some(),
            _permit: permit,
        })
    }

    /// Publishes new posts until it is dropped.
    pub async fn run(&self) {
        let mut cursor = None;
        let mut failing = false;
        loop {
            tokio::select! {
                () = self.wake.notified() => {}
                () = sleep(self.store.poll_interval()) => {}
            }
            let result = self.publish_new(&mut cursor).await;
            if let (Err(error), false) = (&result, failing) {
                tracing::warn!(%error, "reading new posts failed; will retry");
            }
            failing = result.is_err();
            sleep(MIN_BATCH_INTERVAL).await;
        }
    }

    /// Publishes all posts after `position`, and advances it. It is `None` while nothing is
    /// subscribed.
    async fn publish_new(&self, position: &mut Option<FeedCursor>) -> Result<(), Error> {
        if self.batches.receiver_count() == 0 {
            *position = None;
            return Ok(());
        }
        // Load this before the posts are read: a subscription that is added later is notified
        // in the next round.
        let subscriptions = self.subscriptions.load(Ordering::Acquire);
        let mut cursor = match *position {
            Some(cursor) => cursor,
            None => FeedCursor {
                after: self.store.max_id().await?,
                notified_subscribers: 0,
            },
        };
        loop {
            let new = self.store.posts_since(cursor.after, None).await?;
            let (until, more) = (new.until, new.more);
            if !new.posts.is_empty() {
                self.publish(Batch::new(cursor.after, new));
            }
            // It falls if the newest posts no longer exist, as after a restore.
            cursor.after = until;
            *position = Some(cursor);
            if !more {
                break;
            }
        }
        // An empty batch shows a new subscription the position of the feed. If the subscription
        // has not seen all posts up to it, it reads them from the database.
        if cursor.notified_subscribers != subscriptions {
            self.publish(Batch::new(cursor.after, PostsSince::empty(cursor.after)));
            cursor.notified_subscribers = subscriptions;
            *position = Some(cursor);
        }
        Ok(())
    }

    fn publish(&self, batch: Batch<M>) {
        // Fails if the last subscription was dropped.
        let _ = self.batches.send(Arc::new(batch));
    }
}

impl<M> Batch<M> {
    fn new(after: i64, PostsSince { posts, until, .. }: PostsSince) -> Self {
        Self {
            after,
            until,
            posts,
            read_at: Instant::now(),
            encoded: Mutex::default(),
        }
    }
}

impl<M> FilteredBatch<M> {
    /// Returns the posts that match the filter, in the order of their ids.
    pub fn posts(&self) -> impl Iterator<Item = &Post> {
        let BatchFilter {
            after, author_id, ..
        } = self.filter;
        self.batch.posts.iter().filter(move |post| {
            post.id > after && author_id.is_none_or(|author_id| author_id == post.author_id)
        })
    }

    /// Returns the view to encode.
    #[must_use]
    pub fn view(&self) -> View {
        self.filter.view
    }

    /// Returns the encoded posts.
    ///
    /// The first subscription with this filter encodes them. Subscriptions with an equal filter
    /// wait and share the result. If the first one fails or is dropped, the next one encodes. The
    /// others wait until the encoding one is polled to its end. A response body is polled even
    /// while the flow-control window of its client is closed.
    ///
    /// # Errors
    ///
    /// Those of `encode`.
    pub async fn get_or_encode<E, F>(&self, encode: impl FnOnce() -> F) -> Result<M, E>
    where
        M: Clone,
        F: Future<Output = Result<M, E>>,
    {
        let cell = {
            let cells = self.batch.encoded.lock();
            let mut cells = cells.unwrap_or_else(PoisonError::into_inner);
            Arc::clone(cells.entry(self.filter).or_default())
        };
        cell.get_or_try_init(encode).await.cloned()
    }
}

impl<M, S: PostStore> Subscription<M, S> {
    /// Waits for the next posts, and returns at least one.
    ///
    /// # Errors
    ///
    /// Those of the database. A watcher that subscribes again, after the last post that it got,
    /// misses nothing.
    pub async fn next(&mut self) -> Result<FilteredBatch<M>, Error> {
        loop {
            let batch = if self.catching_up {
                let new = self.store.posts_since(self.seen, self.author_id).await?;
                self.catching_up = new.more;
                Some(Arc::new(Batch::new(self.seen, new)))
            } else {
                self.next_published().await?
            };
            let Some(batch) = batch else {
                continue;
            };
            let filter = BatchFilter {
                after: self.seen,
                author_id: self.author_id,
                view: self.view,
            };
            self.seen = self.seen.max(batch.until);
            let filtered = FilteredBatch { batch, filter };
            if filtered.posts().next().is_some() {
                return Ok(filtered);
            }
        }
    }

    /// Returns the next published batch. Returns `None` and starts to catch up if posts are
    /// missing before the batch, or if the batch is so old that its posts may have changed.
    async fn next_published(&mut self) -> Result<Option<Arc<Batch<M>>>, Error> {
        match self.batches.recv().await {
            Ok(batch) if batch.after <= self.seen && batch.read_at.elapsed() < self.max_age => {
                Ok(Some(batch))
            }
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {
                self.catching_up = true;
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

    const ALL: BatchFilter = BatchFilter {
        after: 0,
        author_id: None,
        view: View::Full,
    };

    /// Returns one batch with each of these filters.
    fn filtered<const N: usize>(filters: [BatchFilter; N]) -> [FilteredBatch<u64>; N] {
        let batch = Arc::new(Batch::new(0, PostsSince::empty(7)));
        filters.map(|filter| FilteredBatch {
            batch: Arc::clone(&batch),
            filter,
        })
    }

    #[tokio::test]
    async fn equal_filters_share_one_encoding() {
        let basic = BatchFilter {
            view: View::Basic,
            ..ALL
        };
        let [first, second, other] = &filtered([ALL, ALL, basic]);
        let count = AtomicU64::new(0);
        let encode = || async {
            yield_now().await;
            Ok::<_, Error>(count.fetch_add(1, Ordering::Relaxed))
        };

        let (first, second, other) = join!(
            first.get_or_encode(encode),
            second.get_or_encode(encode),
            other.get_or_encode(encode)
        );

        assert_eq!(first.unwrap(), second.unwrap());
        assert_eq!(other.unwrap(), 1);
        assert_eq!(count.into_inner(), 2);
    }

    #[tokio::test]
    async fn a_cancelled_encoding_is_retried_by_the_next_watcher() {
        let [first, second] = &filtered([ALL, ALL]);
        let mut cancelled = Box::pin(first.get_or_encode(async || {
            yield_now().await;
            Ok::<_, Error>(1)
        }));

        assert!(poll!(cancelled.as_mut()).is_pending());
        drop(cancelled);

        let encoded = second.get_or_encode(async || Ok::<_, Error>(2)).await;
        assert_eq!(encoded.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_failed_encoding_is_retried_by_the_next_watcher() {
        let [first, second] = &filtered([ALL, ALL]);

        let failed = first.get_or_encode(async || Err(Error::NotFound(1))).await;
        let encoded = second.get_or_encode(async || Ok::<_, Error>(2)).await;

        assert!(matches!(failed, Err(Error::NotFound(1))), "{failed:?}");
        assert_eq!(encoded.unwrap(), 2);
    }
}
