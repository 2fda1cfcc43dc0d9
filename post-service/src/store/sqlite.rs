//! Posts in SQLite: all SQL of the post service.
//!
//! It knows the tables `posts` and `post_requests`, and nothing of how posts are sent or
//! of who their authors are.

mod create;
mod pages;
mod read;
mod requests;
mod row;
mod write;

use chassis::{
    database::{
        Access, Needs, Stop,
        sqlite::{Batcher, Database},
    },
    process::clock::Clock,
};
use include_dir::{Dir, include_dir};

use self::{create::Creation, pages::Pages};
use crate::{error::Error, post::Post};

/// The statements below, as sqlx recorded them when it checked them.
static QUERIES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/.sqlx");

/// What the service needs of the database.
pub static NEEDS: Needs = Needs {
    access: &Access {
        tables: &["posts", "post_requests"],
        // Creating a post looks up whether there is its author.
        columns: &[("users", "id")],
    },
    version: 2,
    queries: || {
        QUERIES
            .files()
            .filter_map(include_dir::File::contents_utf8)
            .collect()
    },
};

/// The posts, as they are stored.
#[derive(Clone, Debug)]
pub struct Store {
    database: Database,
    clock: Clock,
    pages: Pages,
    creations: Batcher<Creation, Vec<Post>, Error>,
}

impl Store {
    /// The posts in `database`, of which at most so many pages are kept in memory.
    #[must_use]
    pub fn new(database: Database, clock: Clock, page_cache: usize) -> Self {
        Self {
            creations: database.batcher(create::BATCH_OPS, clock.clone()),
            database,
            clock,
            pages: Pages::new(page_cache),
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

impl From<Error> for Stop<Error> {
    fn from(refusal: Error) -> Self {
        Self::Refused(refusal)
    }
}
