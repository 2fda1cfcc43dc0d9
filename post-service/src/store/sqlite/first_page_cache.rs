//! An in-memory cache of first pages: most callers of `ListPosts` ask for the newest posts.
//!
//! A cached page never differs from the database. It is returned only to a read that would see
//! the version of the database that the page was read from, whichever process commits.

use std::sync::Arc;

use chassis::database::sqlite::DataVersion;
use quick_cache::sync::Cache;

use crate::{
    post::{AuthorId, Order},
    store::{ListQuery, Page},
};

/// A cache of first pages. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct FirstPageCache(Arc<Cache<Key, (DataVersion, Arc<Page>)>>);

/// The key of a page. Versions of different connections cannot be compared, so the connection
/// is part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    order: Order,
    author_id: Option<AuthorId>,
    limit: i64,
    connection: u64,
}

impl Key {
    fn new(query: &ListQuery, version: DataVersion) -> Self {
        Self {
            order: query.order,
            author_id: query.author_id,
            limit: query.size.limit(),
            connection: version.connection,
        }
    }
}

impl FirstPageCache {
    /// Returns an empty cache. With a capacity of 0 it caches nothing.
    pub(super) fn new(capacity: usize) -> Self {
        Self(Arc::new(Cache::new(capacity)))
    }

    /// Returns whether the page of this query may be cached.
    pub(super) fn is_cacheable(&self, query: &ListQuery) -> bool {
        self.0.capacity() > 0 && query.is_first_page()
    }

    /// Returns the page if it was read from this version.
    pub(super) fn get(&self, query: &ListQuery, version: DataVersion) -> Option<Arc<Page>> {
        let (read_from, page) = self.0.get(&Key::new(query, version))?;
        (read_from == version).then_some(page)
    }

    /// Caches a page. The version must have been read before the page.
    pub(super) fn insert(&self, query: &ListQuery, version: DataVersion, page: &Arc<Page>) {
        let key = Key::new(query, version);
        self.0.insert(key, (version, Arc::clone(page)));
    }
}
