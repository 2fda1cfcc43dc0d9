//! What was learnt of authors.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::{post::AuthorId, settings::AuthorSettings};

/// The nicknames that were learnt, as many as the settings allow. Old ones are kept, in
/// case that nothing newer is to be had. That a user is missing is never kept: it may be
/// there in the next moment.
#[derive(Debug)]
pub(super) struct Known {
    nicknames: Cache<AuthorId, Arc<Learnt>>,
    ttl: Duration,
}

/// A nickname that was true at some time after `asked`.
#[derive(Debug)]
struct Learnt {
    nickname: Arc<str>,
    asked: Instant,
    /// Whether somebody was told that it ages.
    told: AtomicBool,
}

/// A nickname that is not too old.
#[derive(Debug)]
pub(super) struct Fresh {
    pub(super) nickname: Arc<str>,
    /// Whether it soon will be: of many who find that, one is told.
    pub(super) ages: bool,
}

impl Known {
    pub(super) fn new(settings: &AuthorSettings) -> Self {
        Self {
            nicknames: Cache::new(settings.author_cache_capacity.get()),
            ttl: settings.author_ttl,
        }
    }

    /// The nickname, if it was learnt a moment before `now`.
    pub(super) fn fresh(&self, id: AuthorId, now: Instant) -> Option<Fresh> {
        let learnt = self.nicknames.get(&id)?;
        let age = now.duration_since(learnt.asked);
        (age < self.ttl).then(|| Fresh {
            nickname: Arc::clone(&learnt.nickname),
            ages: now > self.ages_at(&learnt) && !learnt.told.swap(true, Ordering::Relaxed),
        })
    }

    /// Until when the nickname need not be learnt anew, if it was learnt.
    pub(super) fn until(&self, id: AuthorId) -> Option<Instant> {
        let learnt = self.nicknames.get(&id)?;
        Some(self.ages_at(&learnt))
    }

    /// The nickname, whenever it was learnt.
    pub(super) fn last(&self, id: AuthorId) -> Option<Arc<str>> {
        let learnt = self.nicknames.get(&id)?;
        Some(Arc::clone(&learnt.nickname))
    }

    /// Learns a nickname that was true at some time after `asked`.
    pub(super) fn learn(&self, id: AuthorId, nickname: Arc<str>, asked: Instant) {
        let learnt = Learnt {
            nickname,
            asked,
            told: AtomicBool::new(false),
        };
        self.nicknames.insert(id, Arc::new(learnt));
    }

    pub(super) fn forget(&self, id: AuthorId) {
        self.nicknames.remove(&id);
    }

    fn ages_at(&self, learnt: &Learnt) -> Instant {
        learnt.asked + self.ttl / 2
    }
}
