//! Users that were read a moment ago, for those who ask for them by id again.
//!
//! What is kept is what is stored, at every moment: this process is the only one that
//! changes users, or else it keeps none; and before it changes one, it forgets that one until
//! the change is committed or undone. That there is no such user is never kept.

use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use chassis::database::{Database, Sole};
use quick_cache::sync::Cache;

use crate::user::{User, UserId};

/// A user who may be kept, and is shared then by all who ask.
#[derive(Debug)]
pub struct Shared {
    /// As it was read.
    pub user: User,
    /// What is sent of the user, which is made by the first who needs it, and of which nothing
    /// is known here.
    pub sent: OnceLock<Bytes>,
}

/// The users that are kept. Copies of it share them.
#[derive(Clone, Debug)]
pub(super) struct Known(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    users: Cache<i64, Arc<Shared>>,
    changes: Mutex<Changes>,
    // Rises with each change, at its begin and at its end.
    generation: AtomicU64,
}

/// The changes that are being made.
#[derive(Debug, Default)]
struct Changes {
    running: usize,
    // Since when this process has been the only one, as far as is kept.
    since: Option<Sole>,
}

/// A moment at which something is read, to be kept if nothing has changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    sole: Sole,
    generation: u64,
}

/// Who is changed.
#[derive(Clone, Debug)]
pub(super) enum Whom {
    /// The users with these ids, and new ones perhaps.
    These(Vec<UserId>),
    /// Whoever there is.
    Anybody,
}

/// A change of users that is not yet known to be committed or undone. It goes to the caller
/// with the result of the change, so it ends before the caller is answered, and also if
/// nobody waits any more.
#[derive(Debug)]
pub(super) struct Changing(Arc<Inner>);

impl Known {
    /// Nothing yet, and later at most so many users.
    pub(super) fn new(count: usize) -> Self {
        Self(Arc::new(Inner {
            users: Cache::new(count),
            changes: Mutex::default(),
            generation: AtomicU64::new(0),
        }))
    }

    /// Now, if users are kept at all.
    pub(super) fn now(&self, database: &Database) -> Option<Moment> {
        if self.0.users.capacity() == 0 {
            return None;
        }
        Some(Moment {
            sole: database.sole()?,
            generation: self.0.generation.load(Ordering::Acquire),
        })
    }

    /// The user with this id, if it is kept.
    pub(super) fn get(&self, now: Moment, id: UserId) -> Option<Arc<Shared>> {
        self.0
            .holds_since(now.sole)
            .then(|| self.0.users.get(&id.get()))?
    }

    /// The users with these ids, if all of them are kept: as they are at one moment.
    pub(super) fn get_all(&self, now: Moment, ids: &[UserId]) -> Option<Vec<Option<Arc<Shared>>>> {
        if !self.0.holds_since(now.sole) {
            return None;
        }
        let users = ids.iter().map(|id| self.0.users.get(&id.get()));
        let users: Vec<_> = users.take_while(Option::is_some).collect();
        // Another thread may have changed one of them meanwhile.
        let same = self.0.generation.load(Ordering::Acquire) == now.generation;
        (users.len() == ids.len() && same).then_some(users)
    }

    /// Keeps users that were read after `then`, unless one may have been changed since.
    pub(super) fn keep<'a>(
        &self,
        then: Moment,
        database: &Database,
        users: impl IntoIterator<Item = &'a Arc<Shared>>,
    ) {
        let mut changes = self.0.changes();
        if changes.running > 0 || self.now(database) != Some(then) {
            return;
        }
        if changes.since != Some(then.sole) {
            // What others may have changed.
            self.0.users.clear();
            changes.since = Some(then.sole);
        }
        for shared in users {
            self.0.users.insert(shared.user.id, Arc::clone(shared));
        }
    }

    /// Forgets those who are about to be changed. Until the change ends nothing more is kept.
    pub(super) fn change(&self, whom: &Whom) -> Changing {
        let mut changes = self.0.changes();
        changes.running += 1;
        self.0.generation.fetch_add(1, Ordering::AcqRel);
        match whom {
            Whom::These(ids) => ids.iter().for_each(|id| {
                self.0.users.remove(&id.get());
            }),
            Whom::Anybody => self.0.users.clear(),
        }
        drop(changes);
        Changing(Arc::clone(&self.0))
    }
}

impl From<User> for Shared {
    fn from(user: User) -> Self {
        Self {
            user,
            sent: OnceLock::new(),
        }
    }
}

impl Drop for Changing {
    fn drop(&mut self) {
        let mut changes = self.0.changes();
        changes.running -= 1;
        self.0.generation.fetch_add(1, Ordering::AcqRel);
    }
}

impl Inner {
    /// Whether what is kept is of this time. It is asked before anything is taken, since what
    /// was kept before goes before a new time begins.
    fn holds_since(&self, sole: Sole) -> bool {
        self.changes().since == Some(sole)
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
