//! The store of posts: what it does, and what it promises.
//!
//! It knows no SQL and no gRPC. Each engine implements [`PostStore`] in a module of its own.

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
pub trait PostStore: Clone + Send + Sync + 'static {
    /// The clock that gives the times of what is written.
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
    /// Those of every method.
    fn list(&self, list: &ListQuery) -> impl Future<Output = Result<Arc<Page>, Error>> + Send;

    /// Returns how many posts a purge would delete, and the lowest ids among them, at most
    /// 100.
    ///
    /// # Errors
    ///
    /// Those of every method.
    fn preview_purge(
        &self,
        selection: PurgeFilter,
    ) -> impl Future<Output = Result<(i64, Vec<i64>), Error>> + Send;

    /// Returns the highest id of all posts, or 0 if there are none.
    ///
    /// # Errors
    ///
    /// Those of every method.
    fn max_id(&self) -> impl Future<Output = Result<i64, Error>> + Send;

    /// Returns the first posts with a higher id than `after`, of one author if one is given.
    ///
    /// # Errors
    ///
    /// Those of every method.
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

    /// Changes a post, and returns it as stored. A change that changes nothing leaves the
    /// row, its times and its etag as they are.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] and [`Error::EtagMismatch`].
    fn update(
        &self,
        change: PostUpdate,
        validate_only: bool,
    ) -> impl Future<Output = Result<Post, Error>> + Send;

    /// Deletes a post.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] and [`Error::EtagMismatch`].
    fn delete(&self, deletion: PostDeletion) -> impl Future<Output = Result<(), Error>> + Send;

    /// Makes all changes in their order, each of which sees those before it, or none. Returns
    /// the posts as stored, and `None` for each deletion; or the saved response of a replay.
    ///
    /// # Errors
    ///
    /// [`Error::Mutation`] for the first change that fails, and [`Error::RequestIdReused`].
    fn commit(
        &self,
        write: IdempotentWrite<Vec<Mutation>>,
    ) -> impl Future<Output = Result<Vec<Option<Post>>, Error>> + Send;

    /// Deletes the posts of a selection, and returns how many.
    ///
    /// # Errors
    ///
    /// Those of every method.
    fn purge(&self, selection: PurgeFilter) -> impl Future<Output = Result<i64, Error>> + Send;

    /// Deletes the oldest idempotency records that are no longer valid: one small step, so
    /// that no write waits for it. Returns whether there may be more of them.
    ///
    /// # Errors
    ///
    /// Those of every method.
    fn prune_requests(&self) -> impl Future<Output = Result<bool, Error>> + Send;
}

/// A write that may have an idempotency key, so that a replay gets the saved response.
#[derive(Debug)]
pub struct IdempotentWrite<T> {
    payload: T,
    write: WriteOptions,
    request: Option<KeyedRequest>,
}

impl IdempotentWrite<NewPost> {
    /// A post to create, by the call `CreatePost` at `now`.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if the draft has no fingerprint.
    pub fn create(draft: NewPost, write: WriteOptions, now: DateTime<Utc>) -> Result<Self, Error> {
        Self::new("CreatePost", draft, write, now)
    }
}

impl IdempotentWrite<Vec<Mutation>> {
    /// Changes to commit, by the call `CommitPosts` at `now`.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if the changes have no fingerprint.
    pub fn commit(
        mutations: Vec<Mutation>,
        write: WriteOptions,
        now: DateTime<Utc>,
    ) -> Result<Self, Error> {
        Self::new("CommitPosts", mutations, write, now)
    }
}

impl<T: Serialize> IdempotentWrite<T> {
    fn new(
        method: &str,
        payload: T,
        write: WriteOptions,
        now: DateTime<Utc>,
    ) -> Result<Self, Error> {
        let request = KeyedRequest::from_payload(write.request_id, method, &payload, now)?;
        Ok(Self {
            payload,
            write,
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

/// Which posts to list, and in which order.
#[derive(Clone, Debug)]
pub struct ListQuery {
    /// What comes first.
    pub order: Order,
    /// Only posts of this author.
    pub author_id: Option<AuthorId>,
    /// How many.
    pub size: PageSize,
    /// The id of the last post of the page before.
    pub after: Option<i64>,
    /// Whether to count the posts of all pages.
    pub count: bool,
}

impl ListQuery {
    /// Whether it is the page that most ask for: the first one, and not what is on the others.
    #[must_use]
    pub fn is_first_page(&self) -> bool {
        self.after.is_none() && !self.count
    }
}

/// A page of posts.
#[derive(Debug)]
pub struct Page {
    /// The posts, in order.
    pub posts: Vec<Post>,
    /// Where the next page begins, if there is one.
    pub next: Option<i64>,
    /// How many posts there are on all pages, if it was asked for.
    pub total: Option<i64>,
    /// The encoded response with this page, which callers of the same page share.
    pub response: CachedResponse,
}

/// The posts that came after some id.
#[derive(Clone, Debug)]
pub struct PostsSince {
    /// In the order of their ids.
    pub posts: Vec<Post>,
    /// Everything up to this id is in `posts`, or came before. It is lower than what was asked
    /// after if the newest posts are no longer there, as after a restore.
    pub until: i64,
    /// Whether there are more.
    pub more: bool,
}

impl PostsSince {
    /// Nothing new, up to this id.
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
    /// A page that was read.
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
