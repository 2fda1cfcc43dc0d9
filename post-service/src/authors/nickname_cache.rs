//! An in-memory cache of authors' nicknames, with refresh-ahead.
//!
//! An entry stays after its TTL, as a fallback for a user service that does not respond
//! (stale-if-error). Missing users are not cached: such a user may be created at any time.

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

/// A cache of nicknames by author id, with the capacity and the TTL of the settings.
#[derive(Debug)]
pub(super) struct NicknameCache {
    entries: Cache<AuthorId, Arc<Entry>>,
    ttl: Duration,
}

/// A cached nickname. It was valid at some time after `requested_at`.
#[derive(Debug)]
struct Entry {
    nickname: Arc<str>,
    requested_at: Instant,
    /// Set when a caller has been told to refresh the entry.
    refresh_claimed: AtomicBool,
}

/// A nickname that is younger than the TTL.
#[derive(Debug)]
pub(super) struct Hit {
    pub(super) nickname: Arc<str>,
    /// Set if the caller has to refresh the entry. It is set for one caller of each entry.
    pub(super) refresh: bool,
}

impl NicknameCache {
    pub(super) fn new(settings: &AuthorSettings) -> Self {
        Self {
            entries: Cache::new(settings.author_cache_capacity.get()),
            ttl: settings.author_ttl,
        }
    }

    /// Returns the nickname if it is younger than the TTL.
    pub(super) fn get(&self, id: AuthorId, now: Instant) -> Option<Hit> {
        let entry = self.entries.get(&id)?;
        let age = now.duration_since(entry.requested_at);
        (age < self.ttl).then(|| Hit {
            nickname: Arc::clone(&entry.nickname),
            refresh: now > self.refresh_at(&entry)
                && !entry.refresh_claimed.swap(true, Ordering::Relaxed),
        })
    }

    /// Returns the nickname, however old it is.
    pub(super) fn get_stale(&self, id: AuthorId) -> Option<Arc<str>> {
        let entry = self.entries.get(&id)?;
        Some(Arc::clone(&entry.nickname))
    }

    /// Returns the time after which the nickname is to be refreshed, if it is cached.
    pub(super) fn fresh_until(&self, id: AuthorId) -> Option<Instant> {
        let entry = self.entries.get(&id)?;
        Some(self.refresh_at(&entry))
    }

    /// Caches a nickname that was valid at some time after `requested_at`.
    pub(super) fn insert(&self, id: AuthorId, nickname: Arc<str>, requested_at: Instant) {
        let entry = Entry {
            nickname,
            requested_at,
            refresh_claimed: AtomicBool::new(false),
        };
        self.entries.insert(id, Arc::new(entry));
    }

    pub(super) fn remove(&self, id: AuthorId) {
        self.entries.remove(&id);
    }

    fn refresh_at(&self, entry: &Entry) -> Instant {
        entry.requested_at + self.ttl / 2
    }
}
