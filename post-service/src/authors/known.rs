//! What was learnt of authors.

use std::{sync::Arc, time::Duration};

use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::{post::AuthorId, settings::AuthorSettings};

/// The nicknames that were learnt, as many as the settings allow. Old ones are kept, in
/// case that nothing newer is to be had. That a user is missing is never kept: it may be
/// there in the next moment.
#[derive(Debug)]
pub(super) struct Known {
    nicknames: Cache<AuthorId, (Arc<str>, Instant)>,
    ttl: Duration,
}

impl Known {
    pub(super) fn new(settings: &AuthorSettings) -> Self {
        Self {
            nicknames: Cache::new(settings.author_cache.get()),
            ttl: settings.author_ttl,
        }
    }

    /// The nickname, if it was learnt a moment before `now`.
    pub(super) fn fresh(&self, id: AuthorId, now: Instant) -> Option<Arc<str>> {
        let (nickname, learnt) = self.nicknames.get(&id)?;
        (now.duration_since(learnt) < self.ttl).then_some(nickname)
    }

    /// The nickname, whenever it was learnt.
    pub(super) fn last(&self, id: AuthorId) -> Option<Arc<str>> {
        self.nicknames.get(&id).map(|(nickname, _)| nickname)
    }

    /// Learns a nickname that was true at some time after `asked`.
    pub(super) fn learn(&self, id: AuthorId, nickname: Arc<str>, asked: Instant) {
        self.nicknames.insert(id, (nickname, asked));
    }

    pub(super) fn forget(&self, id: AuthorId) {
        self.nicknames.remove(&id);
    }
}
