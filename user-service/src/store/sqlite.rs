//! Users in SQLite: all SQL of the user service.
//!
//! It knows the tables `users` and `user_requests`, and nothing of how users are sent.

mod create;
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

use self::create::Creation;
use crate::{error::Error, user::User};

/// The statements below, as sqlx recorded them when it checked them.
static QUERIES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/.sqlx");

/// What the service needs of the database.
pub static NEEDS: Needs = Needs {
    access: &Access {
        tables: &["users", "user_requests"],
        // Deleting a user looks up who refers to it.
        columns: &[("posts", "user_id")],
    },
    // The foreign key of the posts is there, so a user with posts cannot be deleted.
    version: 2,
    queries: || {
        QUERIES
            .files()
            .filter_map(include_dir::File::contents_utf8)
            .collect()
    },
};

/// The users, as they are stored.
#[derive(Clone, Debug)]
pub struct Store {
    database: Database,
    clock: Clock,
    creations: Batcher<Creation, User, Error>,
}

impl Store {
    /// The users in `database`.
    #[must_use]
    pub fn new(database: Database, clock: Clock) -> Self {
        Self {
            creations: database.batcher(create::BATCH_OPS, clock.clone()),
            database,
            clock,
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
