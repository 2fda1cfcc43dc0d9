//! The interface of the store of posts, and its promises.
//!
//! It knows no SQL and no gRPC. Each engine implements [`PostStore`] in a separate module.

mod cached_response;
pub mod sqlite;

use std::{future::Future, sync::Arc, time::Duration};

use chassis::{
    database::idempotency::KeyedRequest, idempotency::WriteOptions, process::clock::Clock,
    serving::pagination::PageSize,
};
use chrono::{DateTime, Utc};
use serde::Serialize;

pub use self::cached_response::CachedResponse;
use crate::{
    error::Error,
    post::{
        AuthorId, Mutation, NewPost, Order, Post, PostDeletion, PostId, PostUpdate, PurgeFilter,
    },
};

/// A store of posts, in any engine. Clones share its connections.
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
pub trait PostStore: Clone + Send + Sync + 'static {
    /// Returns the clock that provides creation and update times.
    fn clock(&self) -> &Clock;

    /// Returns the interval in which to call [`posts_since`](Self::posts_since) for posts that
    /// other processes have committed.
    fn poll_interval(&self) -> Duration;

    /// Returns the post with this id.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    fn get(&self, id: PostId) -> impl Future<Output = Result<Post, Error>> + Send;

    /// Returns a page of posts. Calls that ask for the same page may share it.
    ///
    /// # Errors
    ///
    /// The errors that every method may return.
    fn list(&self, query: &ListQuery) -> impl Future<Output = Result<Arc<Page>, Error>> + Send;

    /// Returns the number of posts that a purge would delete, and up to 100 of the lowest ids.
    ///
    /// # Errors
    ///
    /// The errors that every method may return.
    fn preview_purge(
        &self,
        filter: PurgeFilter,
    ) -> impl Future<Output = Result<(i64, Vec<i64>), Error>> + Send;

    /// Returns the highest id of all posts, or 0 if no post exists.
    ///
    /// # Errors
    ///
    /// The errors that every method may return.
    fn max_id(&self) -> impl Future<Output = Result<i64, Error>> + Send;

    /// Returns the first posts with a higher id than `after`, of one author if one is given.
    ///
    /// # Errors
    ///
    /// The errors that every method may return.
    fn posts_since(
        &self,
        after: i64,
        author_id: Option<AuthorId>,
    ) -> impl Future<Output = Result<PostsSince, Error>> + Send;

    /// Returns whether the write is a replay, whose response was saved before.
    ///
    /// # Errors
    ///
    /// [`Error::RequestIdReused`].
    fn is_replay<T: Sync>(
        &self,
        write: &IdempotentWrite<T>,
    ) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Creates a post, or returns the saved response of a replay. The post of a dry run has
    /// the id 0.
    ///
    /// # Errors
    ///
    /// [`Error::AuthorNotFound`] and [`Error::RequestIdReused`].
    fn create(
        &self,
        write: IdempotentWrite<NewPost>,
    ) -> impl Future<Output = Result<Post, Error>> + Send;

    /// Updates a post, and returns it as stored. If no value changes, the row, its times and its
    /// etag stay unchanged.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] and [`Error::EtagMismatch`].
    fn update(
        &self,
        update: PostUpdate,
        validate_only: bool,
    ) -> impl Future<Output = Result<Post, Error>> + Send;

    /// Deletes a post.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] and [`Error::EtagMismatch`].
    fn delete(&self, deletion: PostDeletion) -> impl Future<Output = Result<(), Error>> + Send;

    /// Executes all mutations in their order, or none. Each sees the effects of those before it.
    /// Returns the posts as stored, and `None` for each deletion. Returns the saved response of a
    /// replay.
    ///
    /// # Errors
    ///
    /// [`Error::Mutation`] for the first mutation that fails, and [`Error::RequestIdReused`].
    fn commit(
        &self,
        write: IdempotentWrite<Vec<Mutation>>,
    ) -> impl Future<Output = Result<Vec<Option<Post>>, Error>> + Send;

    /// Deletes the posts that match `filter`, and returns their number.
    ///
    /// # Errors
    ///
    /// The errors that every method may return.
    fn purge(&self, filter: PurgeFilter) -> impl Future<Output = Result<i64, Error>> + Send;

    /// Deletes the oldest expired idempotency records, in one small step that delays no other
    /// write. Returns whether more of them may exist.
    ///
    /// # Errors
    ///
    /// The errors that every method may return.
    fn prune_idempotency_records(&self) -> impl Future<Output = Result<bool, Error>> + Send;
}

/// A write with an optional idempotency key. A replay of the key gets the saved response.
#[derive(Debug)]
pub struct IdempotentWrite<T> {
    payload: T,
    options: WriteOptions,
    request: Option<KeyedRequest>,
}

impl IdempotentWrite<NewPost> {
    /// Returns the write of a `CreatePost` call that was received at `now`.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if the draft cannot be serialized for its fingerprint.
    pub fn create(
        draft: NewPost,
        options: WriteOptions,
        now: DateTime<Utc>,
    ) -> Result<Self, Error> {
        Self::new("CreatePost", draft, options, now)
    }
}

impl IdempotentWrite<Vec<Mutation>> {
    /// Returns the write of a `CommitPosts` call that was received at `now`.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if the mutations cannot be serialized for their fingerprint.
    pub fn commit(
        mutations: Vec<Mutation>,
        options: WriteOptions,
        now: DateTime<Utc>,
    ) -> Result<Self, Error> {
        Self::new("CommitPosts", mutations, options, now)
    }
}

impl<T: Serialize> IdempotentWrite<T> {
    fn new(
        method: &str,
        payload: T,
        options: WriteOptions,
        now: DateTime<Utc>,
    ) -> Result<Self, Error> {
        let request = KeyedRequest::from_payload(options.idempotency_key, method, &payload, now)?;
        Ok(Self {
            payload,
            options,
            request,
        })
    }
}

impl<T> IdempotentWrite<T> {
    /// Returns the payload of the request.
    pub fn payload(&self) -> &T {
        &self.payload
    }
}

/// A query for a page of posts.
#[derive(Clone, Debug)]
pub struct ListQuery {
    /// The order of the posts.
    pub order: Order,
    /// The author of the posts to list, or `None` for all posts.
    pub author_id: Option<AuthorId>,
    /// The maximum number of posts on the page.
    pub size: PageSize,
    /// The id of the last post on the previous page, or `None` for the first page.
    pub after: Option<i64>,
    /// `true` to count the posts on all pages.
    pub count: bool,
}

impl ListQuery {
    /// Returns whether the query is for a first page without a count, as most queries are.
    #[must_use]
    pub fn is_first_page(&self) -> bool {
        self.after.is_none() && !self.count
    }
}

/// A page of posts.
#[derive(Debug)]
pub struct Page {
    /// The posts, in the order of the query.
    pub posts: Vec<Post>,
    /// The cursor after which the next page starts, or `None` on the last page.
    pub next: Option<i64>,
    /// The number of posts on all pages, if the query counts them.
    pub total: Option<i64>,
    /// The encoded response with this page, which callers of the same page share.
    pub response: CachedResponse,
}

/// The posts after some id.
#[derive(Clone, Debug)]
pub struct PostsSince {
    /// The posts, in the order of their ids.
    pub posts: Vec<Post>,
    /// The id up to which `posts` is complete. It is lower than the requested id if the newest
    /// posts no longer exist, as after a restore.
    pub until: i64,
    /// `true` if more posts follow `until`.
    pub more: bool,
}

impl PostsSince {
    /// Returns the result for no new posts up to this id.
    #[must_use]
    pub fn empty(until: i64) -> Self {
        Self {
            posts: Vec::new(),
            until,
            more: false,
        }
    }
}

impl Page {
    /// Returns a page without a cached response.
    #[must_use]
    pub fn new(posts: Vec<Post>, next: Option<i64>, total: Option<i64>) -> Self {
        Self {
            posts,
            next,
            total,
            response: CachedResponse::default(),
        }
    }
}
