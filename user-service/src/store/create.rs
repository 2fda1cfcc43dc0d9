//! Creating users: one, or many by one statement.

use std::collections::HashSet;

use chassis::{
    database::{
        Stop,
        sqlite::{Ways, inserted, is_constraint, json, unless_constraint},
    },
    idempotency::{Request, among_all},
};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::SqliteConnection;

use super::{
    requests,
    row::{role, time},
    write::taken,
};
use crate::{
    error::Error,
    user::{NewUser, User},
};

/// A user to create.
#[derive(Debug)]
pub(super) struct Creation {
    pub(super) draft: NewUser,
    /// What the caller may repeat.
    pub(super) request: Option<Request>,
}

/// How new users are written that come from many callers. What was done before is left for a
/// transaction of its own, which answers as before: that is what `None` means.
pub(super) const WAYS: Ways<Creation, Option<User>, Error> = Ways {
    rows: |_| 1,
    at_once: |connection, creations, now| Box::pin(create_of_all(connection, creations, now)),
    each: |connection, creations, now| Box::pin(create_of_each(connection, creations, now)),
};

/// Writes the users of all callers by one statement, or none. One statement keeps no answers.
async fn create_of_all(
    connection: &mut SqliteConnection,
    creations: &[Creation],
    now: DateTime<Utc>,
) -> Result<Option<Vec<Option<User>>>, sqlx::Error> {
    if creations.iter().any(|creation| creation.request.is_some()) {
        return Ok(None);
    }
    let drafts: Vec<_> = creations.iter().map(|creation| &creation.draft).collect();
    let created = create_at_once(connection, &drafts, now).await?;
    Ok(created.map(|users| users.into_iter().map(Some).collect()))
}

/// Writes the user of each caller, who may be refused, and keeps what the caller is answered.
async fn create_of_each(
    connection: &mut SqliteConnection,
    creations: &[Creation],
    now: DateTime<Utc>,
) -> Result<Vec<Result<Option<User>, Error>>, sqlx::Error> {
    let requests: Vec<_> = creations.iter().map(|creation| creation.request).collect();
    let unanswered = requests::unanswered(connection, &requests).await?;
    let creations = creations.iter().zip(&unanswered);
    let creations: Vec<_> = creations.filter_map(|(c, new)| new.then_some(c)).collect();

    let drafts: Vec<_> = creations.iter().map(|creation| &creation.draft).collect();
    let created = if requests.iter().any(Option::is_some) {
        create_all(connection, &drafts, now).await?
    } else {
        // They could not be written together a moment ago.
        create_each(connection, &drafts, now).await?
    };

    let mut answers = Vec::new();
    for (creation, user) in creations.iter().zip(&created) {
        if let (Some(request), Ok(user)) = (creation.request, user) {
            answers.push((request, json(user)?));
        }
    }
    requests::keep_all(connection, &answers).await?;

    let results = among_all(unanswered, created);
    Ok(results.map(Option::transpose).collect())
}

/// Writes new users in their order, each of whom may be refused.
pub(super) async fn create_all(
    connection: &mut SqliteConnection,
    drafts: &[&NewUser],
    now: DateTime<Utc>,
) -> Result<Vec<Result<User, Error>>, sqlx::Error> {
    match unless_constraint(create_at_once(connection, drafts, now).await)? {
        Some(users) => Ok(users.into_iter().map(Ok).collect()),
        None => create_each(connection, drafts, now).await,
    }
}

/// Writes new users in their order by one statement, a microsecond apart: all of them, or none
/// if the newest user who is there is not earlier than `now`, as when the clock was put back.
async fn create_at_once(
    connection: &mut SqliteConnection,
    drafts: &[&NewUser],
    now: DateTime<Utc>,
) -> Result<Option<Vec<User>>, sqlx::Error> {
    if drafts.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let (rows, first) = (rows(drafts)?, now.timestamp_micros());
    let written = sqlx::query!(
        "insert into users
            (nickname, nickname_key, email, email_key, role, create_time, update_time, revision)
        select value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, ?2 + key, ?2 + key, 1
        from jsonb_each(?1)
        where ?2 > coalesce((select create_time from users order by id desc limit 1), ?2 - 1)",
        rows,
        first
    )
    .execute(connection)
    .await?;
    let Some(ids) = inserted(&written) else {
        return Ok(None);
    };
    let created = ids.zip(drafts).zip(times(now));
    Ok(Some(
        created
            .map(|((id, draft), time)| user(id, draft, time))
            .collect(),
    ))
}

/// New users as JSON. What a row has besides is counted from where it stands among them.
fn rows(drafts: &[&NewUser]) -> Result<String, sqlx::Error> {
    let rows = drafts.iter().map(|draft| {
        let (nickname, email) = (&draft.nickname, &draft.email);
        let (nickname, nickname_key) = (nickname.as_str(), nickname.key());
        let (email, email_key) = (email.as_str(), email.key());
        (nickname, nickname_key, email, email_key, role(draft.role))
    });
    json(&rows.collect::<Vec<_>>())
}

/// The times of new users who are written together.
fn times(first: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> {
    (0..).map(move |index| first + TimeDelta::microseconds(index))
}

/// Writes new users in their order, each of whom may be refused.
///
/// The first is written alone, and tells from where ids and times go on: the others need no
/// look at what is there, and are written together. Those who are left out then are written
/// one by one, to learn why. An id that one of them would have had may stay unused.
async fn create_each(
    connection: &mut SqliteConnection,
    drafts: &[&NewUser],
    now: DateTime<Utc>,
) -> Result<Vec<Result<User, Error>>, sqlx::Error> {
    let mut results = Vec::with_capacity(drafts.len());
    let mut drafts = drafts.iter();
    for draft in drafts.by_ref() {
        let created = create_one(connection, draft, now).await?;
        let alone = created.is_ok();
        results.push(created);
        if alone {
            break;
        }
    }
    let others = drafts.as_slice();
    if let (Some(Ok(first)), [_, ..]) = (results.last(), others) {
        let users = create_after(connection, first, others).await?;
        for (draft, user) in others.iter().zip(users) {
            results.push(match user {
                Some(user) => Ok(user),
                None => create_one(connection, draft, now).await?,
            });
        }
    }
    Ok(results)
}

/// Writes one user, unless a constraint refuses it.
async fn create_one(
    connection: &mut SqliteConnection,
    draft: &NewUser,
    now: DateTime<Utc>,
) -> Result<Result<User, Error>, sqlx::Error> {
    match create(connection, draft, now).await {
        Ok(user) => Ok(Ok(user)),
        Err(Stop::Refused(refusal)) => Ok(Err(refusal)),
        Err(Stop::Engine(error)) if is_constraint(&error) => Ok(Err(error.into())),
        Err(Stop::Engine(error)) => Err(error),
    }
}

/// Writes a new user, whose creation time is later than that of all before, even if the
/// clock was put back.
pub(super) async fn create(
    connection: &mut SqliteConnection,
    draft: &NewUser,
    now: DateTime<Utc>,
) -> Result<User, Stop<Error>> {
    let (nickname, nickname_key) = (draft.nickname.as_str(), draft.nickname.key());
    let (email, email_key) = (draft.email.as_str(), draft.email.key());
    let (role, now) = (role(draft.role), now.timestamp_micros());
    let created = sqlx::query!(
        r#"insert into users
            (nickname, nickname_key, email, email_key, role, create_time, update_time, revision)
        select ?1, ?2, ?3, ?4, ?5, created.time, created.time, 1
        from (
            select max(
                ?6,
                coalesce((select create_time + 1 from users order by id desc limit 1), ?6)
            ) as time
        ) as created
        returning id as "id!", create_time as "create_time!""#,
        nickname,
        nickname_key,
        email,
        email_key,
        role,
        now
    )
    .fetch_one(connection)
    .await
    .map_err(|error| taken(error, nickname, email))?;
    Ok(user(created.id, draft, time(created.create_time)?))
}

/// Writes new users right after `last`, who is the newest, and leaves out those whose
/// nickname or address is taken.
async fn create_after(
    connection: &mut SqliteConnection,
    last: &User,
    drafts: &[&NewUser],
) -> Result<Vec<Option<User>>, sqlx::Error> {
    let (id, time) = (last.id + 1, last.create_time + TimeDelta::microseconds(1));
    let created = drafts.iter().zip(id..).zip(times(time));
    let mut users: Vec<_> = created
        .map(|((draft, id), time)| Some(user(id, draft, time)))
        .collect();
    let (rows, time) = (rows(drafts)?, time.timestamp_micros());
    let written = sqlx::query!(
        "insert into users
            (id, nickname, nickname_key, email, email_key, role, create_time, update_time,
            revision)
        select ?2 + key, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4,
            ?3 + key, ?3 + key, 1
        from jsonb_each(?1)
        where true
        on conflict do nothing",
        rows,
        id,
        time
    )
    .execute(&mut *connection)
    .await;
    match written {
        Ok(written) if written.rows_affected() == drafts.len() as u64 => {}
        Ok(_) => {
            let there = newer(connection, last).await?;
            for user in &mut users {
                *user = user.take().filter(|user| there.contains(&user.id));
            }
        }
        Err(error) if is_constraint(&error) => users.fill(None),
        Err(error) => return Err(error),
    }
    Ok(users)
}

/// The ids of all users who came after `last`.
async fn newer(
    connection: &mut SqliteConnection,
    last: &User,
) -> Result<HashSet<i64>, sqlx::Error> {
    let ids = sqlx::query_scalar!(r#"select id as "id!" from users where id > ?1"#, last.id);
    Ok(ids.fetch_all(connection).await?.into_iter().collect())
}

/// A user as it is when it is new.
fn user(id: i64, draft: &NewUser, create_time: DateTime<Utc>) -> User {
    User {
        id,
        nickname: draft.nickname.as_str().to_owned(),
        email: draft.email.as_str().to_owned(),
        role: draft.role,
        create_time,
        update_time: create_time,
        revision: 1,
    }
}
