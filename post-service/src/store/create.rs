//! Creating posts: one, or many by one statement.

use chassis::{
    database::{
        Stop,
        sqlite::{Ways, inserted, json, large_json, unless_constraint},
    },
    idempotency::{Request, among_all},
};
use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;

use super::{requests, row::time};
use crate::{
    error::Error,
    post::{NewPost, Post},
};

/// About how much a post has as JSON besides what it says: its author, and what is between them.
const ROW: usize = 16; // bytes

/// Posts to create of one caller: all of them, or none.
#[derive(Debug)]
pub(super) struct Creation {
    pub(super) drafts: Vec<NewPost>,
    /// What the caller may repeat.
    pub(super) request: Option<Request>,
    pub(super) answer: Answer,
}

/// What the answer to a caller has.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    /// The only post.
    Post,
    /// A list of posts.
    Posts,
}

impl AsRef<[NewPost]> for Creation {
    fn as_ref(&self) -> &[NewPost] {
        &self.drafts
    }
}

/// How new posts are written that come from many callers. What cannot be written together with
/// others, or was done before, is left for a transaction of its own, which tells why or
/// answers as before: that is what `None` means.
pub(super) const WAYS: Ways<Creation, Option<Vec<Post>>, Error> = Ways {
    rows: |creation| creation.drafts.len(),
    at_once: |connection, callers, now| Box::pin(create_of_all(connection, callers, now)),
    each: |connection, callers, now| Box::pin(create_of_each(connection, callers, now)),
};

/// Writes the posts of all callers by one statement, or none. One statement keeps no answers.
async fn create_of_all(
    connection: &mut SqliteConnection,
    callers: &[Creation],
    now: DateTime<Utc>,
) -> Result<Option<Vec<Option<Vec<Post>>>>, sqlx::Error> {
    if callers.iter().any(|creation| creation.request.is_some()) {
        return Ok(None);
    }
    let created = create_at_once(connection, callers, now).await?;
    Ok(created.map(|posts| posts.into_iter().map(Some).collect()))
}

/// Writes the posts of each caller, unless a constraint refuses one of them, and keeps what the
/// caller is answered.
async fn create_of_each(
    connection: &mut SqliteConnection,
    callers: &[Creation],
    now: DateTime<Utc>,
) -> Result<Vec<Result<Option<Vec<Post>>, Error>>, sqlx::Error> {
    let requests: Vec<_> = callers.iter().map(|creation| creation.request).collect();
    let unanswered = requests::unanswered(connection, &requests).await?;
    let callers = callers.iter().zip(&unanswered);
    let callers: Vec<_> = callers.filter_map(|(c, new)| new.then_some(c)).collect();

    let time = no_earlier_than_newest(connection, now).await?;
    // Without either, they could not be written together a moment ago, for a constraint.
    let together = if time > now || requests.iter().any(Option::is_some) {
        unless_constraint(create_at_once(connection, &callers, time).await)?
    } else {
        None
    };
    let created: Vec<Option<Vec<Post>>> = if let Some(posts) = together {
        posts.into_iter().map(Some).collect()
    } else {
        let mut created = Vec::with_capacity(callers.len());
        for creation in &callers {
            created.push(create_together(connection, &creation.drafts, time).await?);
        }
        created
    };

    let mut answers = Vec::new();
    for (creation, posts) in callers.iter().zip(&created) {
        if let (Some(request), Some(posts)) = (creation.request, posts) {
            let answer = match (creation.answer, posts.as_slice()) {
                (Answer::Post, [post]) => json(post)?,
                _ => json(posts)?,
            };
            answers.push((request, answer));
        }
    }
    requests::keep_all(connection, &answers).await?;

    let results = among_all(unanswered, created);
    Ok(results.map(|created| Ok(created.flatten())).collect())
}

/// Writes new posts in their order, up to the first that is refused, in a transaction that is
/// then undone. What is refused is counted from `index` on.
pub(super) async fn create_all(
    connection: &mut SqliteConnection,
    drafts: &[NewPost],
    now: DateTime<Utc>,
    index: usize,
) -> Result<Vec<Post>, Stop<Error>> {
    let time = no_earlier_than_newest(connection, now).await?;
    if let Some(posts) = create_together(connection, drafts, time).await? {
        return Ok(posts);
    }
    let mut posts = Vec::with_capacity(drafts.len());
    for (index, draft) in (index..).zip(drafts) {
        let created = create(connection, draft, time).await;
        posts.push(created.map_err(|stop| stop.map_refusal(|error| error.at(index)))?);
    }
    Ok(posts)
}

/// `now`, unless the newest post is later: the clock was put back, or others were written since
/// it was asked.
async fn no_earlier_than_newest(
    connection: &mut SqliteConnection,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, sqlx::Error> {
    let newest = sqlx::query_scalar!("select create_time from posts order by id desc limit 1")
        .fetch_optional(connection)
        .await?;
    let Some(newest) = newest else {
        return Ok(now);
    };
    let newest = time(newest).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(newest.max(now))
}

/// Writes new posts of one caller as [`create_at_once`] does, or none if a constraint refuses one.
async fn create_together(
    connection: &mut SqliteConnection,
    drafts: &[NewPost],
    now: DateTime<Utc>,
) -> Result<Option<Vec<Post>>, sqlx::Error> {
    let created = unless_constraint(create_at_once(connection, &[drafts], now).await)?;
    Ok(created.map(|posts| posts.into_iter().flatten().collect()))
}

/// Writes new posts of some callers in their order by one statement, all of them at one time:
/// or none, if that is earlier than the newest post that is there.
async fn create_at_once(
    connection: &mut SqliteConnection,
    callers: &[impl AsRef<[NewPost]>],
    now: DateTime<Utc>,
) -> Result<Option<Vec<Vec<Post>>>, sqlx::Error> {
    let drafts = || callers.iter().flat_map(AsRef::as_ref);
    if drafts().next().is_none() {
        return Ok(Some(callers.iter().map(|_| Vec::new()).collect()));
    }
    let insert = {
        let size = drafts().map(|draft| draft.body.as_str().len() + ROW).sum();
        let rows = drafts().map(|draft| (draft.body.as_str(), draft.author.get()));
        // The statement has a copy of them, beside which this one need not stay.
        let rows = large_json(size, rows)?;
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
    let Some(mut ids) = inserted(&insert.execute(connection).await?) else {
        return Ok(None);
    };
    let posts = callers.iter().map(|drafts| {
        let of_one = drafts.as_ref().iter().zip(ids.by_ref());
        of_one.map(|(draft, id)| post(id, draft, now)).collect()
    });
    Ok(Some(posts.collect()))
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
