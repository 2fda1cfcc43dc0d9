//! Creating posts: one, or many by one statement.

use chassis::database::{Stop, Ways, inserted, is_constraint, large_json, unless_constraint};
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

/// About how much a post has as JSON besides what it says: a time, an author, and what is between them.
const ROW: usize = 40; // bytes

/// How new posts are written that come from many callers: some posts of one caller are written
/// all or not at all. If they cannot be, and it is to be told why, they are left for a
/// transaction of their own: that is what `None` means.
pub(super) const WAYS: Ways<Vec<Creation>, Option<Vec<Post>>, Error> = Ways {
    rows: Vec::len,
    at_once: |connection, callers| Box::pin(create_of_all(connection, callers)),
    each: |connection, callers| Box::pin(create_of_each(connection, callers)),
};

/// Writes the posts of all callers by one statement, or none.
async fn create_of_all(
    connection: &mut SqliteConnection,
    callers: &[Vec<Creation>],
) -> Result<Option<Vec<Option<Vec<Post>>>>, sqlx::Error> {
    let created = create_at_once(connection, callers).await?;
    Ok(created.map(|posts| posts.into_iter().map(Some).collect()))
}

/// Writes the posts of each caller, unless they are refused.
async fn create_of_each(
    connection: &mut SqliteConnection,
    callers: &[Vec<Creation>],
) -> Result<Vec<Result<Option<Vec<Post>>, Error>>, sqlx::Error> {
    let mut results = Vec::with_capacity(callers.len());
    for creations in callers {
        results.push(match creations.as_slice() {
            [creation] => {
                let created = create_one(connection, creation).await?;
                created.map(|post| Some(vec![post]))
            }
            _ => Ok(create_together(connection, creations).await?),
        });
    }
    Ok(results)
}

/// Writes new posts in their order, up to the first that is refused, in a transaction that is
/// then undone. What is refused is counted from `index` on.
pub(super) async fn create_all(
    connection: &mut SqliteConnection,
    creations: &[Creation],
    index: usize,
) -> Result<Vec<Post>, Stop<Error>> {
    if let Some(posts) = create_together(connection, creations).await? {
        return Ok(posts);
    }
    let mut posts = Vec::with_capacity(creations.len());
    for (index, Creation { draft, now }) in (index..).zip(creations) {
        let created = create(connection, draft, *now).await;
        posts.push(created.map_err(|stop| stop.map_refusal(|error| error.at(index)))?);
    }
    Ok(posts)
}

/// Writes new posts of one caller as [`create_at_once`] does, or none if a constraint refuses one.
async fn create_together(
    connection: &mut SqliteConnection,
    creations: &[Creation],
) -> Result<Option<Vec<Post>>, sqlx::Error> {
    let created = unless_constraint(create_at_once(connection, &[creations]).await)?;
    Ok(created.map(|posts| posts.into_iter().flatten().collect()))
}

/// Writes new posts of some callers in their order by one statement: all of them, or none if the
/// clock was put back behind the newest post that is there.
async fn create_at_once(
    connection: &mut SqliteConnection,
    callers: &[impl AsRef<[Creation]>],
) -> Result<Option<Vec<Vec<Post>>>, sqlx::Error> {
    let (mut time, mut size) = (DateTime::<Utc>::MIN_UTC, 0);
    let mut posts: Vec<Vec<Post>> = Vec::with_capacity(callers.len());
    for creations in callers {
        let new = creations.as_ref().iter().map(|Creation { draft, now }| {
            time = time.max(*now);
            size += draft.body.as_str().len() + ROW;
            post(0, draft, time)
        });
        posts.push(new.collect());
    }
    let Some(first) = posts.iter().flatten().next() else {
        return Ok(Some(posts));
    };
    let earliest = first.create_time.timestamp_micros();

    let insert = {
        let rows = posts.iter().flatten().map(|post| {
            let created = post.create_time.timestamp_micros();
            (&post.body, created, post.author.get())
        });
        // The statement has a copy of them, beside which this one need not stay.
        let rows = large_json(size, rows)?;
        sqlx::query!(
            "insert into posts (body, create_time, update_time, revision, user_id)
            select value ->> 0, value ->> 1, value ->> 1, 1, value ->> 2
            from jsonb_each(?1)
            where ?2 >= coalesce((select create_time from posts order by id desc limit 1), ?2)",
            rows,
            earliest
        )
    };
    let Some(ids) = inserted(&insert.execute(connection).await?) else {
        return Ok(None);
    };
    for (id, post) in ids.zip(posts.iter_mut().flatten()) {
        post.id = id;
    }
    Ok(Some(posts))
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

/// A post as it is when it is new.
fn post(id: i64, draft: &NewPost, create_time: DateTime<Utc>) -> Post {
    Post {
        id,
        body: draft.body.shared(),
        create_time,
        update_time: create_time,
        revision: 1,
        author: draft.author,
    }
}
