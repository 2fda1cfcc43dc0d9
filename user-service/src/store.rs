//! The store of users: what it does, and what it promises.
//!
//! It knows no SQL and no gRPC. Each engine implements [`UserStore`] in a module of its own.

pub mod sqlite;

use std::future::Future;

use chassis::{idempotency::WriteOptions, serving::pagination::PageSize};
use serde::{Deserialize, Serialize};

use crate::{
    error::Error,
    user::{
        Field, LookupKey, Mutation, NewUser, Order, PurgeFilter, Role, User, UserDeletion, UserId,
        UserUpdate,
    },
};

/// A store of users, in any engine. Clones share its connections.
///
/// # Promises
///
/// SQLite keeps these because one transaction writes at a time. An engine with concurrent
/// writers has to do something for each of them.
///
/// 1. **Ids become visible in their order.** A reader that sees an id sees all lower ids that
///    will ever exist. No id is used twice.
/// 2. **Creation times never fall as ids rise**, even if the clock is set back. The order by
///    time is the order by id.
/// 3. **What a call returns is on the disk.** A write is acknowledged after its commit is
///    durable.
/// 4. **A violated constraint is known by name**, so that each has its own [`Error`].
/// 5. **A dry run fails exactly where the real call would**, with the same error, and leaves
///    nothing behind.
/// 6. **A failed call has written nothing**, unless the error is
///    [`OutcomeUnknown`](chassis::database::Error::OutcomeUnknown), which an engine gives if
///    it lost the database while it committed. SQLite never does.
/// 7. **One call reads one snapshot**: the rows of a page and their count belong together.
///
/// Every method may also fail with [`Error::Database`], and every method that reads rows with
/// [`Error::Corrupt`].
pub trait UserStore: Clone + Send + Sync + 'static {
    /// Returns the user with this id.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    fn get(&self, id: UserId) -> impl Future<Output = Result<User, Error>> + Send;

    /// Returns the user with this nickname or email address, in any letter case.
    ///
    /// # Errors
    ///
    /// [`Error::KeyNotFound`].
    fn lookup(&self, key: &LookupKey) -> impl Future<Output = Result<User, Error>> + Send;

    /// Returns the users with these ids in the order of the ids, and `None` for each missing
    /// one.
    ///
    /// # Errors
    ///
    /// Those of every method.
    fn batch_get(
        &self,
        ids: &[UserId],
    ) -> impl Future<Output = Result<Vec<Option<User>>, Error>> + Send;

    /// Returns a page of users.
    ///
    /// # Errors
    ///
    /// Those of every method.
    fn list(&self, list: &ListQuery) -> impl Future<Output = Result<Page, Error>> + Send;

    /// Returns how many users a purge would delete, and the lowest ids among them, at most
    /// 100.
    ///
    /// # Errors
    ///
    /// Those of every method.
    fn preview_purge(
        &self,
        selection: PurgeFilter,
    ) -> impl Future<Output = Result<(i64, Vec<i64>), Error>> + Send;

    /// Creates a user. The user of a dry run has the id 0.
    ///
    /// # Errors
    ///
    /// [`Error::NicknameTaken`], [`Error::EmailTaken`] and [`Error::RequestIdReused`].
    fn create(
        &self,
        draft: NewUser,
        write: WriteOptions,
    ) -> impl Future<Output = Result<User, Error>> + Send;

    /// Changes a user, and returns it as stored. A change that changes nothing leaves the
    /// row, its times and its etag as they are.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::EtagMismatch`], [`Error::NicknameTaken`] and
    /// [`Error::EmailTaken`].
    fn update(
        &self,
        change: UserUpdate,
        validate_only: bool,
    ) -> impl Future<Output = Result<User, Error>> + Send;

    /// Deletes a user.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::EtagMismatch`] and [`Error::HasPosts`].
    fn delete(&self, deletion: UserDeletion) -> impl Future<Output = Result<(), Error>> + Send;

    /// Makes all changes in their order, each of which sees those before it, or none. Returns
    /// the users as stored, and `None` for each deletion.
    ///
    /// # Errors
    ///
    /// [`Error::Mutation`] for the first change that fails, and [`Error::RequestIdReused`].
    fn commit(
        &self,
        mutations: Vec<Mutation>,
        write: WriteOptions,
    ) -> impl Future<Output = Result<Vec<Option<User>>, Error>> + Send;

    /// Deletes the users of a selection, and returns how many. Deletes all or none.
    ///
    /// # Errors
    ///
    /// [`Error::HasPosts`].
    fn purge(&self, selection: PurgeFilter) -> impl Future<Output = Result<i64, Error>> + Send;

    /// Deletes the oldest idempotency records that are no longer valid: one small step, so
    /// that no write waits for it. Returns whether there may be more of them.
    ///
    /// # Errors
    ///
    /// Those of every method.
    fn prune_requests(&self) -> impl Future<Output = Result<bool, Error>> + Send;
}

/// Which users to list, and in which order.
#[derive(Clone, Debug)]
pub struct ListQuery {
    /// What comes first.
    pub order: Order,
    /// Only users of this role.
    pub role: Option<Role>,
    /// How many.
    pub size: PageSize,
    /// The end of the page before.
    pub after: Option<Cursor>,
    /// Whether to count the users of all pages.
    pub count: bool,
}

/// Where a page ends: the key of its last user in the order of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cursor {
    /// In the order of the ids.
    Id(i64),
    /// In the order of a text.
    Text(String),
}

/// A page of users.
#[derive(Clone, Debug)]
pub struct Page {
    /// The users, in order.
    pub users: Vec<User>,
    /// Where the next page begins, if there is one.
    pub next: Option<Cursor>,
    /// How many users there are on all pages, if it was asked for.
    pub total: Option<i64>,
}

impl Cursor {
    /// Whether it can be the end of a page in this order.
    #[must_use]
    pub fn matches_order(&self, order: &Order) -> bool {
        let by_id = matches!(order.sort_key().0, Field::Id | Field::CreateTime);
        by_id == matches!(self, Self::Id(_))
    }
}
