//! First pages that were read a moment ago, for those who ask for the same ones: most who list
//! posts want the newest.
//!
//! What is kept is what is stored: a page is of one version of the database, and given to
//! nobody who would read another one, whoever wrote it.

use std::sync::Arc;

use chassis::database::sqlite::DataVersion;
use quick_cache::sync::Cache;

use crate::{
    post::{AuthorId, Order},
    store::{List, Page},
};

/// The pages that are kept. Copies of it share them.
#[derive(Clone, Debug)]
pub(super) struct Pages(Arc<Cache<Key, (DataVersion, Arc<Page>)>>);

/// Which page it is, and by whose count of the versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    order: Order,
    author: Option<AuthorId>,
    limit: i64,
    connection: u64,
}

impl Key {
    /// That of the first page of a list.
    fn of(list: &List, version: DataVersion) -> Self {
        Self {
            order: list.order,
            author: list.author,
            limit: list.size.limit(),
            connection: version.connection,
        }
    }
}

impl Pages {
    /// None yet, and later at most so many.
    pub(super) fn new(count: usize) -> Self {
        Self(Arc::new(Cache::new(count)))
    }

    /// Whether this page may be kept.
    pub(super) fn wants(&self, list: &List) -> bool {
        self.0.capacity() > 0 && list.is_first_page()
    }

    /// The page as it is in this version, if it is kept.
    pub(super) fn get(&self, list: &List, version: DataVersion) -> Option<Arc<Page>> {
        let (of, page) = self.0.get(&Key::of(list, version))?;
        (of == version).then_some(page)
    }

    /// Keeps a page that is wanted, and was read after its version.
    pub(super) fn keep(&self, list: &List, version: DataVersion, page: &Arc<Page>) {
        let key = Key::of(list, version);
        self.0.insert(key, (version, Arc::clone(page)));
    }
}
