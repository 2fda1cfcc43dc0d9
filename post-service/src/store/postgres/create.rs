//! Creations of posts: of many callers by one statement, or of each caller separately.

use std::slice;

use chassis::database::{
    WriteError,
    idempotency::{KeyedRequest, scatter},
    postgres::{BatchOps, constraint, none_on_constraint_violation},
    stored_responses::StoredResponses,
    time,
};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::idempotency;
use crate::{
    error::Error,
    post::{NewPost, Post},
    store::{MAX_RESPONSE_BYTES, single},
};

/// The creation of posts for one caller, which creates all of them or none.
#[derive(Debug)]
pub(super) struct Creation {
    pub(super) drafts: Drafts,
    /// The request, if the caller may replay it.
    pub(super) request: Option<KeyedRequest>,
    /// The limit on the saved responses.
    pub(super) responses: StoredResponses,
}

/// The posts of a creation. The saved response has the same form.
#[derive(Debug)]
pub(super) enum Drafts {
    /// The post of `CreatePost`.
    Single(NewPost),
    /// The posts of `CommitPosts`.
    List(Vec<NewPost>),
}

impl Creation {
    fn drafts(&self) -> &[NewPost] {
        match &self.drafts {
            Drafts::Single(draft) => slice::from_ref(draft),
            Drafts::List(drafts) => drafts,
        }
    }

    /// Returns the response to save.
    fn response(&self, posts: &[Post]) -> Result<String, sqlx::Error> {
        let json = match (&self.drafts, posts) {
            (Drafts::Single(_), [post]) => serde_json::to_string(post),
            _ => serde_json::to_string(posts),
        };
        json.map_err(|error| sqlx::Error::Encode(error.into()))
    }
}

/// Executes the creations of many callers.
pub(super) const BATCH_OPS: BatchOps<Creation, Vec<Post>, Error> = BatchOps {
    row_count: |creation| creation.drafts().len(),
    has_key: |creation| creation.request.is_some(),
    lock: |connection| Box::pin(lock_head(connection)),
    insert_all: |connection, creations, now| Box::pin(create_all(connection, creations, now)),
    insert_one: |connection, creation, now| Box::pin(create_one(connection, creation, now)),
};

/// Creates the posts of all new requests by one statement, and saves the responses. Returns
/// `None` for each creation that has to be executed alone: a replayed request, or all of them if
/// the statement cannot insert all posts.
async fn create_all(
    connection: &mut PgConnection,
    creations: &[Creation],
    now: DateTime<Utc>,
) -> Result<Vec<Option<Vec<Post>>>, sqlx::Error> {
    let requests: Vec<_> = creations.iter().map(|creation| creation.request).collect();
    let Some(Creation { responses, .. }) = creations.first() else {
        return Ok(Vec::new());
    };
    let posts: usize = creations
        .iter()
        .map(|creation| creation.drafts().len())
        .sum();
    let max_bytes = posts * MAX_RESPONSE_BYTES;
    let new = idempotency::first_seen(connection, responses, &requests, max_bytes).await?;
    let lists: Vec<_> = creations
        .iter()
        .zip(&new)
        .filter_map(|(creation, new)| new.then_some(creation.drafts()))
        .collect();
    let drafts: Vec<_> = lists.iter().copied().flatten().collect();
    let inserted = insert(connection, &drafts, now).await;
    let Some(posts) = none_on_constraint_violation(inserted)? else {
        return Ok(creations.iter().map(|_| None).collect());
    };
    let mut posts = posts.into_iter();
    let lists = lists
        .iter()
        .map(|drafts| posts.by_ref().take(drafts.len()).collect());
    let posts: Vec<_> = scatter(new, lists.collect()).collect();

    let mut responses = Vec::new();
    for (creation, posts) in creations.iter().zip(&posts) {
        let posts: &Option<Vec<Post>> = posts;
        if let (Some(request), Some(posts)) = (creation.request, posts) {
            responses.push((request, creation.response(posts)?));
        }
    }
    idempotency::save_responses(connection, &responses).await?;
    Ok(posts)
}

/// Creates the posts of one caller and saves the response, or returns the saved one of a replayed
/// request.
pub(super) async fn create_one(
    connection: &mut PgConnection,
    creation: &Creation,
    now: DateTime<Utc>,
) -> Result<Vec<Post>, WriteError<Error>> {
    let (responses, request) = (&creation.responses, creation.request);
    match &creation.drafts {
        Drafts::Single(draft) => {
            let post = idempotency::once(connection, responses, request, async |connection| {
                insert_one(connection, draft, now).await
            });
            Ok(vec![post.await?])
        }
        Drafts::List(drafts) => {
            let drafts: Vec<_> = drafts.iter().collect();
            idempotency::once(connection, responses, request, async |connection| {
                insert_sequence(connection, &drafts, now, 0).await
            })
            .await
        }
    }
}

/// Locks the row that gives out ids, until the end of the transaction.
pub(super) async fn lock_head(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query_scalar!("select id from post_head for update")
        .fetch_one(connection)
        .await
        .map(drop)
}

/// Inserts posts in their order. If one is rejected, the caller rolls back those before it. `index`
/// is the index of the first post in the client's request.
pub(super) async fn insert_sequence(
    connection: &mut PgConnection,
    drafts: &[&NewPost],
    now: DateTime<Utc>,
    index: usize,
) -> Result<Vec<Post>, WriteError<Error>> {
    sqlx::query("savepoint posts")
        .execute(&mut *connection)
        .await?;
    let inserted = insert(connection, drafts, now).await;
    if let Some(posts) = none_on_constraint_violation(inserted)? {
        sqlx::query("release posts").execute(connection).await?;
        return Ok(posts);
    }
    // One of them is rejected: find out which one is the first.
    sqlx::query("rollback to posts")
        .execute(&mut *connection)
        .await?;
    let mut posts = Vec::with_capacity(drafts.len());
    for (index, draft) in (index..).zip(drafts) {
        let post = insert_one(connection, draft, now).await;
        posts.push(post.map_err(|failed| failed.map_rejection(|error| error.at_index(index)))?);
    }
    Ok(posts)
}

/// Inserts a post.
async fn insert_one(
    connection: &mut PgConnection,
    draft: &NewPost,
    now: DateTime<Utc>,
) -> Result<Post, WriteError<Error>> {
    let inserted = insert(connection, &[draft], now).await;
    let posts = inserted.map_err(|error| match constraint(&error) {
        Some("posts_user_id_fkey") => Error::AuthorNotFound(draft.author_id).into(),
        _ => WriteError::Database(error),
    })?;
    Ok(single(posts)?)
}

/// Inserts posts in their order by one statement, with one creation time. After the clock was set
/// back, the time is that of the newest post.
///
/// In READ COMMITTED, the update of the head waits for the transaction that holds its lock, and then
/// reads its newest version. So no other statement is needed for a current snapshot.
async fn insert(
    connection: &mut PgConnection,
    drafts: &[&NewPost],
    now: DateTime<Utc>,
) -> Result<Vec<Post>, sqlx::Error> {
    if drafts.is_empty() {
        return Ok(Vec::new());
    }
    let bodies: Vec<_> = drafts.iter().map(|draft| draft.body.as_str()).collect();
    let authors: Vec<_> = drafts.iter().map(|draft| draft.author_id.get()).collect();
    let head = sqlx::query!(
        r#"with head as (
            update post_head set id = id + cardinality($2::bigint[]), time = greatest(time, $3)
            returning id - cardinality($2::bigint[]) as last_id, time
        ), inserted as (
            insert into posts (id, body, create_time, update_time, revision, user_id)
            select last_id + at, body, time, time, 1, author
            from head, unnest($1::text[], $2::bigint[])
                with ordinality as draft (body, author, at)
        )
        select last_id as "last_id!", time from head"#,
        &bodies as _,
        &authors,
        now.timestamp_micros()
    )
    .fetch_one(connection)
    .await?;
    let create_time = time(head.time).map_err(sqlx::Error::Protocol)?;
    let posts = (1..).zip(drafts).map(|(at, draft)| Post {
        id: head.last_id + at,
        body: draft.body.shared(),
        create_time,
        update_time: create_time,
        revision: 1,
        author_id: draft.author_id,
    });
    Ok(posts.collect())
}
