//! Resolves author ids to nicknames with the user service: cached, batched, and with a bound on
//! every wait.
//!
//! It is the only client of the user service, and knows nothing of how posts are stored or sent.

mod lookup;
mod nickname_cache;

use std::{collections::HashMap, sync::Arc, time::Duration};

use http::Uri;
use tokio::time::{Instant, timeout_at};

use self::{
    lookup::{AuthorLoader, LookupResult},
    nickname_cache::Hit,
};
use crate::{post::AuthorId, settings::AuthorSettings};

/// The part of the caller's deadline that is left for encoding and sending the response.
const DEADLINE_MARGIN: Duration = Duration::from_millis(5);

/// An author as a response shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Author {
    /// The nickname is younger than `AUTHOR_TTL`.
    Resolved(Arc<str>),
    /// The user service has no such user.
    Deleted,
    /// The user service did not respond in time. The nickname is the last one that was cached.
    Unavailable(Option<Arc<str>>),
}

/// The user service did not respond in time, and the author is not cached.
#[derive(Clone, Copy, Debug)]
pub struct Unavailable(pub AuthorId);

/// A resolver of authors. Clones share the cache and the calls.
#[derive(Clone, Debug)]
pub struct Authors {
    loader: AuthorLoader,
    settings: AuthorSettings,
}

impl Authors {
    /// Returns a resolver that asks the user service at `url`, which need not run yet.
    #[must_use]
    pub fn new(url: &Uri, settings: &AuthorSettings) -> Self {
        Self {
            loader: AuthorLoader::new(url, settings),
            settings: settings.clone(),
        }
    }

    /// Resolves authors for a read, in the order of `ids`. It waits for
    /// `AUTHOR_LOOKUP_TIMEOUT` at most: a reader prefers posts without nicknames to a delay.
    ///
    /// `remaining` is the time until the caller's deadline.
    pub async fn resolve(&self, ids: &[AuthorId], remaining: Option<Duration>) -> Vec<Author> {
        self.look_up(ids, |_| self.settings.author_lookup_timeout, remaining)
            .await
    }

    /// Resolves the authors of new posts, in the order of `ids`.
    ///
    /// If an author is not cached, it waits for `USER_SERVICE_TIMEOUT`. If all authors are
    /// cached, even beyond their TTL, it waits only as long as a read: the foreign key decides
    /// whether they still exist.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] for the first author that is not cached and could not be looked up.
    pub async fn resolve_for_write(
        &self,
        ids: &[AuthorId],
        remaining: Option<Duration>,
    ) -> Result<Vec<Author>, Unavailable> {
        let cache = self.loader.cache();
        let wait = |uncached: &[AuthorId]| {
            if uncached.iter().all(|&id| cache.get_stale(id).is_some()) {
                self.settings.author_lookup_timeout
            } else {
                self.settings.user_service_timeout
            }
        };
        let authors = self.look_up(ids, wait, remaining).await;
        let unknown = |(_, author): &(_, &Author)| **author == Author::Unavailable(None);
        match ids.iter().zip(&authors).find(unknown) {
            Some((&id, _)) => Err(Unavailable(id)),
            None => Ok(authors),
        }
    }

    /// Returns the time until which no entry of these authors is due for a refresh. Returns `None`
    /// if an author is not cached.
    pub fn fresh_until(&self, ids: impl IntoIterator<Item = AuthorId>) -> Option<Instant> {
        let cache = self.loader.cache();
        // `None` is less than any time.
        ids.into_iter().map(|id| cache.fresh_until(id)).min()?
    }

    /// Removes an author from the cache.
    pub fn evict(&self, id: AuthorId) {
        self.loader.cache().remove(id);
    }

    /// Resolves authors in the order of `ids`. `wait` gets the ids that are not cached or beyond
    /// their TTL, and returns how long to wait for them.
    async fn look_up(
        &self,
        ids: &[AuthorId],
        wait: impl FnOnce(&[AuthorId]) -> Duration,
        remaining: Option<Duration>,
    ) -> Vec<Author> {
        let cache = self.loader.cache();
        let now = Instant::now();
        let (mut missed, mut to_refresh) = (Vec::new(), Vec::new());
        let mut author = |&id| {
            let Some(Hit { nickname, refresh }) = cache.get(id, now) else {
                missed.push(id);
                return Author::Unavailable(None);
            };
            to_refresh.extend(refresh.then_some(id));
            Author::Resolved(nickname)
        };
        let mut authors: Vec<_> = ids.iter().map(&mut author).collect();
        if !to_refresh.is_empty() {
            self.loader.refresh_ahead(to_refresh);
        }
        if missed.is_empty() {
            return authors;
        }

        missed.sort_unstable();
        missed.dedup();
        let left = remaining.map_or(Duration::MAX, |left| left.saturating_sub(DEADLINE_MARGIN));
        let wait = wait(&missed).min(left);
        let found = self.ask(missed, wait, left).await;
        for (id, author) in ids.iter().zip(&mut authors) {
            if *author == Author::Unavailable(None) {
                let found = found.get(id).cloned();
                *author = found.unwrap_or_else(|| Author::Unavailable(cache.get_stale(*id)));
            }
        }
        authors
    }

    /// Asks the user service for `ids`, which are distinct, and waits for `wait` at most. An
    /// author without a result in this time is not in the map.
    ///
    /// It makes one call, and joins the calls of other callers. A joined call is repeated once
    /// for an author if it failed, perhaps by the shorter deadline of its caller. It is also
    /// repeated if it found the author missing: the user may have been created since.
    async fn ask(
        &self,
        mut ids: Vec<AuthorId>,
        wait: Duration,
        left: Duration,
    ) -> HashMap<AuthorId, Author> {
        let mut authors = HashMap::with_capacity(ids.len());
        let deadline = Instant::now() + wait;
        let limit = self.settings.user_service_timeout.min(left);
        for _ in 0..2 {
            if ids.is_empty() || Instant::now() >= deadline {
                break;
            }
            let mut retry = Vec::new();
            for mut lookup in self.loader.join_or_start(&ids, limit) {
                let (id, own) = (lookup.id(), lookup.is_own());
                // A result that is there counts, even if an earlier lookup used up the wait.
                match timeout_at(deadline, lookup.wait()).await {
                    Ok(Some(LookupResult::Nickname(nickname))) => {
                        authors.insert(id, Author::Resolved(nickname));
                    }
                    Ok(Some(LookupResult::Missing)) => {
                        authors.insert(id, Author::Deleted);
                        retry.extend((!own).then_some(id));
                    }
                    Ok(None) => retry.extend((!own).then_some(id)),
                    Err(_elapsed) => {}
                }
            }
            ids = retry;
        }
        authors
    }
}
