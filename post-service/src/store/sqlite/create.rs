//! Creations of posts: of many callers by one statement, or of each caller separately.

use std::slice;

use chassis::database::{
    Atomicity, WriteError,
    idempotency::{KeyedRequest, scatter},
    sqlite::{
        BatchOps, inserted_ids, json_param, json_param_with_capacity, none_on_constraint_violation,
        time,
    },
    stored_responses::StoredResponses,
};
use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;

use super::idempotency;
use crate::{
    error::Error,
    post::{NewPost, Post},
};

/// The estimated size of a post as JSON without its body: the author id and the punctuation.
const ROW_BYTES: usize = 16;

/// An upper bound of the size of a post in a saved response. A body has at most 140 characters.
const MAX_RESPONSE_BYTES: usize = 2048;

/// The creation of posts for one caller, which creates all of them or none.
#[derive(Debug)]
pub(super) struct Creation {
    pub(super) drafts: Drafts,
    /// The request, if the caller may replay it.
    pub(super) request: Option<KeyedRequest>,
    /// The limit on the saved responses.
    pub(super) responses: StoredResponses,
    /// The atomicity of the creation if it is executed alone.
    pub(super) atomicity: Atomicity,
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
        match (&self.drafts, posts) {
            (Drafts::Single(_), [post]) => json_param(post),
            _ => json_param(&posts),
        }
    }
}

/// Executes the creations of many callers.
pub(super) const BATCH_OPS: BatchOps<Creation, Vec<Post>, Error> = BatchOps {
    row_count: |creation| creation.drafts().len(),
    atomicity: |creation| creation.atomicity,
    insert_all: |connection, creations, now| Box::pin(create_all(connection, creations, now)),
    insert_one: |connection, creation, now| Box::pin(create_one(connection, creation, now)),
};

/// Creates the posts of all new requests by one statement, and saves the responses. Returns
/// `None` for each creation that has to be executed alone: a replayed request, or all of them if
/// the statement cannot insert all posts.
async fn create_all(
    connection: &mut SqliteConnection,
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
    let drafts = creations.iter().zip(&new);
    let drafts: Vec<_> = drafts
        .filter_map(|(creation, new)| new.then_some(creation.drafts()))
        .collect();
    let Some(posts) = insert_all(connection, &drafts, now).await? else {
        return Ok(creations.iter().map(|_| None).collect());
    };
    let posts: Vec<_> = scatter(new, posts).collect();

    let mut responses = Vec::new();
    for (creation, posts) in creations.iter().zip(&posts) {
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
    connection: &mut SqliteConnection,
    creation: &Creation,
    now: DateTime<Utc>,
) -> Result<Vec<Post>, WriteError<Error>> {
    let (request, responses) = (creation.request, creation.responses.clone());
    match &creation.drafts {
        Drafts::Single(draft) => {
            let post = idempotency::once(connection, responses, request, async |connection| {
                insert_one(connection, draft, now).await
            });
            Ok(vec![post.await?])
        }
        Drafts::List(drafts) => {
            idempotency::once(connection, responses, request, async |connection| {
                insert_sequence(connection, drafts, now, 0).await
            })
            .await
        }
    }
}

/// Inserts posts in their order. If one is rejected, the caller rolls back those before it. `index`
/// is the index of the first post in the client's request.
pub(super) async fn insert_sequence(
    connection: &mut SqliteConnection,
    drafts: &[NewPost],
    now: DateTime<Utc>,
    index: usize,
) -> Result<Vec<Post>, WriteError<Error>> {
    if let Some(posts) = insert_all(connection, &[drafts], now).await? {
        return Ok(posts.into_iter().flatten().collect());
    }
    let mut posts = Vec::with_capacity(drafts.len());
    for (index, draft) in (index..).zip(drafts) {
        let post = insert_one(connection, draft, now).await;
        posts.push(post.map_err(|failed| failed.map_rejection(|error| error.at_index(index)))?);
    }
    Ok(posts)
}

/// Inserts the posts of some callers in their order by one statement, with one creation time.
/// Inserts none if one violates a constraint. After the clock was set back, the time is that of
/// the newest post.
async fn insert_all(
    connection: &mut SqliteConnection,
    callers: &[&[NewPost]],
    now: DateTime<Utc>,
) -> Result<Option<Vec<Vec<Post>>>, sqlx::Error> {
    if let Some(posts) = insert_at(connection, callers, now).await? {
        return Ok(Some(posts));
    }
    let newest = sqlx::query_scalar!(
        r#"select create_time as "create_time!" from posts where id = (select max(id) from posts)"#
    );
    let newest = newest.fetch_optional(&mut *connection).await?;
    match newest.and_then(DateTime::from_timestamp_micros) {
        // The clock was set back.
        Some(newest) if newest > now => insert_at(connection, callers, newest).await,
        _ => Ok(None),
    }
}

/// Inserts posts as [`insert_all`] does, with `now` as their creation time. Also inserts none if
/// the newest post is later than `now`.
async fn insert_at(
    connection: &mut SqliteConnection,
    callers: &[&[NewPost]],
    now: DateTime<Utc>,
) -> Result<Option<Vec<Vec<Post>>>, sqlx::Error> {
    let drafts = || callers.iter().copied().flatten();
    if drafts().next().is_none() {
        return Ok(Some(callers.iter().map(|_| Vec::new()).collect()));
    }
    let insert = {
        let size = drafts()
            .map(|draft| draft.body.as_str().len() + ROW_BYTES)
            .sum();
        let rows = drafts().map(|draft| (draft.body.as_str(), draft.author_id.get()));
        // The statement copies the rows. The block drops this copy before the execution.
        let rows = json_param_with_capacity(size, rows)?;
        let time = now.timestamp_micros();
        sqlx::query!(
            "insert into posts (body, create_time, update_time, revision, user_id)
            select value ->> 0, ?2, ?2, 1, value ->> 1
            from jsonb_each(?1)
            where ?2 >= coalesce((select create_time from posts order by id desc limit 1), ?2)",
            rows,
            time
        )
    };
    let written = insert.execute(connection).await;
    let Some(mut ids) =
        none_on_constraint_violation(written.map(|written| inserted_ids(&written)))?
    else {
        return Ok(None);
    };
    let posts = callers.iter().map(|drafts| {
        let of_one = drafts.iter().zip(ids.by_ref());
        of_one.map(|(draft, id)| post(id, draft, now)).collect()
    });
    Ok(Some(posts.collect()))
}

/// Inserts a post. The creation time is not earlier than that of any earlier post, even after the
/// clock was set back.
async fn insert_one(
    connection: &mut SqliteConnection,
    draft: &NewPost,
    now: DateTime<Utc>,
) -> Result<Post, WriteError<Error>> {
    let (body, user_id, now) = (
        draft.body.as_str(),
        draft.author_id.get(),
        now.timestamp_micros(),
    );
    let created = sqlx::query!(
        r#"insert into posts (body, create_time, update_time, revision, user_id)
        select ?1, created.time, created.time, 1, ?3
        from (
            select max(
                ?2,
                coalesce((select create_time from posts order by id desc limit 1), ?2)
            ) as time
        ) as created
        returning id as "id!", create_time as "create_time!""#,
        body,
        now,
        user_id
    )
    .fetch_one(connection)
    .await
    .map_err(|error| match error.as_database_error() {
        Some(cause) if cause.is_foreign_key_violation() => {
            Error::AuthorNotFound(draft.author_id).into()
        }
        _ => WriteError::Database(error),
    })?;
    let create_time = time(created.create_time).map_err(Error::Corrupt)?;
    Ok(post(created.id, draft, create_time))
}

/// Returns a new post as it is stored.
fn post(id: i64, draft: &NewPost, create_time: DateTime<Utc>) -> Post {
    Post {
        id,
        body: draft.body.shared(),
        create_time,
        update_time: create_time,
        revision: 1,
        author_id: draft.author_id,
    }
}
