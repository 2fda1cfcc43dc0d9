//! Creating posts: one, or many by one statement.

use chassis::database::{Stop, is_constraint};
use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;

use super::row::time;
use crate::{
    error::Error,
    post::{NewPost, Post},
};

/// A post to create, and when that was asked for.
#[derive(Debug)]
pub(super) struct Creation {
    pub(super) draft: NewPost,
    pub(super) now: DateTime<Utc>,
}

/// Writes new posts in their order, each of which may be refused.
///
/// The first is written alone, and tells from where ids and times go on: the others need no
/// look at what is there, and are written together. If one of them is refused, all are
/// written one by one, to learn which.
pub(super) async fn create_all(
    connection: &mut SqliteConnection,
    creations: &[Creation],
) -> Result<Vec<Result<Post, Error>>, sqlx::Error> {
    let mut results = Vec::with_capacity(creations.len());
    let mut creations = creations.iter();
    for creation in creations.by_ref() {
        let created = create_one(connection, creation).await?;
        let alone = created.is_ok();
        results.push(created);
        if alone {
            break;
        }
    }
    let others = creations.as_slice();
    if let (Some(Ok(first)), [_, ..]) = (results.last(), others) {
        match create_after(connection, first, others).await {
            Ok(posts) => results.extend(posts.into_iter().map(Ok)),
            Err(error) if is_constraint(&error) => {
                for creation in others {
                    results.push(create_one(connection, creation).await?);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(results)
}

/// Writes one post, unless a constraint refuses it.
async fn create_one(
    connection: &mut SqliteConnection,
    Creation { draft, now }: &Creation,
) -> Result<Result<Post, Error>, sqlx::Error> {
    match create(connection, draft, *now).await {
        Ok(post) => Ok(Ok(post)),
        Err(Stop::Refused(refusal)) => Ok(Err(refusal)),
        Err(Stop::Engine(error)) if is_constraint(&error) => Ok(Err(error.into())),
        Err(Stop::Engine(error)) => Err(error),
    }
}

/// Writes a new post, whose creation time is not earlier than that of any before, even if
/// the clock was put back.
pub(super) async fn create(
    connection: &mut SqliteConnection,
    draft: &NewPost,
    now: DateTime<Utc>,
) -> Result<Post, Stop<Error>> {
    let (body, user_id, now) = (
        draft.body.as_str(),
        draft.author.get(),
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
            Error::AuthorNotFound(draft.author).into()
        }
        _ => Stop::Engine(error),
    })?;
    Ok(post(created.id, draft, time(created.create_time)?))
}

/// Writes new posts right after `last`, which is the newest: all of them, or none.
async fn create_after(
    connection: &mut SqliteConnection,
    last: &Post,
    creations: &[Creation],
) -> Result<Vec<Post>, sqlx::Error> {
    let mut posts: Vec<Post> = Vec::with_capacity(creations.len());
    for Creation { draft, now } in creations {
        let before = posts.last().unwrap_or(last);
        posts.push(post(before.id + 1, draft, before.create_time.max(*now)));
    }
    let rows: Vec<_> = posts
        .iter()
        .map(|post| {
            let created = post.create_time.timestamp_micros();
            (post.id, &post.body, created, post.author.get())
        })
        .collect();
    let rows = serde_json::json!(rows).to_string();
    sqlx::query!(
        "insert into posts (id, body, create_time, update_time, revision, user_id)
        select value ->> 0, value ->> 1, value ->> 2, value ->> 2, 1, value ->> 3
        from json_each(?1)",
        rows
    )
    .execute(connection)
    .await?;
    Ok(posts)
}

/// A post as it is when it is new.
fn post(id: i64, draft: &NewPost, create_time: DateTime<Utc>) -> Post {
    Post {
        id,
        body: draft.body.as_str().to_owned(),
        create_time,
        update_time: create_time,
        revision: 1,
        author: draft.author,
    }
}
