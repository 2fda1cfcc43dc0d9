//! The interface of the store of users, and its promises.
//!
//! It knows no SQL and no gRPC. Each engine implements [`UserStore`] in a separate module.

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
/// SQLite keeps these promises because one transaction writes at a time. An engine with
/// concurrent writers needs a mechanism for each of them.
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
///    it lost the database while it committed, or
///    [`Replaced`](chassis::database::Error::Replaced), if the file that was written is not at its
///    path any more.
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

    /// Returns the users with these ids in the order of `ids`, and `None` for each missing user.
    ///
    /// # Errors
    ///
    /// The errors that every method may return.
    fn batch_get(
        &self,
        ids: &[UserId],
    ) -> impl Future<Output = Result<Vec<Option<User>>, Error>> + Send;

    /// Returns a page of users.
    ///
    /// # Errors
    ///
    /// The errors that every method may return.
    fn list(&self, query: &ListQuery) -> impl Future<Output = Result<Page, Error>> + Send;

    /// Returns the number of users that a purge would delete, and up to 100 of the lowest ids.
    ///
    /// # Errors
    ///
    /// The errors that every method may return.
    fn preview_purge(
        &self,
        filter: PurgeFilter,
    ) -> impl Future<Output = Result<(i64, Vec<i64>), Error>> + Send;

    /// Creates a user. The user of a dry run has the id 0.
    ///
    /// # Errors
    ///
    /// [`Error::NicknameTaken`], [`Error::EmailTaken`] and [`Error::RequestIdReused`].
    fn create(
        &self,
        draft: NewUser,
        options: WriteOptions,
    ) -> impl Future<Output = Result<User, Error>> + Send;

    /// Updates a user, and returns it as stored. If no value changes, the row, its times and its
    /// etag stay unchanged.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::EtagMismatch`], [`Error::NicknameTaken`] and
    /// [`Error::EmailTaken`].
    fn update(
        &self,
        update: UserUpdate,
        validate_only: bool,
    ) -> impl Future<Output = Result<User, Error>> + Send;

    /// Deletes a user.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::EtagMismatch`] and [`Error::HasPosts`].
    fn delete(&self, deletion: UserDeletion) -> impl Future<Output = Result<(), Error>> + Send;

    /// Executes all mutations in their order, or none. Each sees the effects of those before it.
    /// Returns the users as stored, and `None` for each deletion.
    ///
    /// # Errors
    ///
    /// [`Error::Mutation`] for the first mutation that fails, and [`Error::RequestIdReused`].
    fn commit(
        &self,
        mutations: Vec<Mutation>,
        options: WriteOptions,
    ) -> impl Future<Output = Result<Vec<Option<User>>, Error>> + Send;

    /// Deletes the users that match `filter`, and returns their number. Deletes all or none.
    ///
    /// # Errors
    ///
    /// [`Error::HasPosts`].
    fn purge(&self, filter: PurgeFilter) -> impl Future<Output = Result<i64, Error>> + Send;

    /// Deletes the oldest expired idempotency records, in one small step that delays no other
    /// write. Returns whether more of them may exist.
    ///
    /// # Errors
    ///
    /// The errors that every method may return.
    fn prune_idempotency_records(&self) -> impl Future<Output = Result<bool, Error>> + Send;
}

/// A query for a page of users.
#[derive(Clone, Debug)]
pub struct ListQuery {
    /// The order of the users.
    pub order: Order,
    /// The role of the users to list, or `None` for all users.
    pub role: Option<Role>,
    /// The maximum number of users on the page.
    pub size: PageSize,
    /// The cursor of the previous page, or `None` for the first page.
    pub after: Option<Cursor>,
    /// `true` to count the users on all pages.
    pub count: bool,
}

/// The sort key of the last user on a page. The next page starts after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cursor {
    /// The id, in an order by id or creation time.
    Id(i64),
    /// The comparison form, in an order by nickname or email address.
    Text(String),
}

/// A page of users.
#[derive(Clone, Debug)]
pub struct Page {
    /// The users, in the order of the query.
    pub users: Vec<User>,
    /// The cursor after which the next page starts, or `None` on the last page.
    pub next: Option<Cursor>,
    /// The number of users on all pages, if the query counts them.
    pub total: Option<i64>,
}

impl Cursor {
    /// Returns whether a page in this order can end with this cursor.
    #[must_use]
    pub fn matches_order(&self, order: &Order) -> bool {
        let by_id = matches!(order.sort_key().0, Field::Id | Field::CreateTime);
        by_id == matches!(self, Self::Id(_))
    }
}
