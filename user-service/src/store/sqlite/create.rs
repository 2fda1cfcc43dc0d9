//! Creations of users: of many callers by one statement, or of each caller separately.

use chassis::database::{
    Atomicity, WriteError,
    idempotency::{KeyedRequest, scatter},
    sqlite::{BatchOps, inserted_ids, json_param, none_on_constraint_violation, time},
    stored_responses::StoredResponses,
};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::SqliteConnection;

use super::{constraints::map_unique_violation, idempotency, row::role};
use crate::{
    error::Error,
    user::{NewUser, User},
};

/// An upper bound of the size of a saved response. The nickname and the email address have at most
/// 64 and 120 characters.
const MAX_RESPONSE_BYTES: usize = 2048;

/// The creation of a user for one caller.
#[derive(Debug)]
pub(super) struct Creation {
    pub(super) draft: NewUser,
    /// The request, if the caller may replay it.
    pub(super) request: Option<KeyedRequest>,
    /// The limit on the saved responses.
    pub(super) responses: StoredResponses,
    /// The atomicity of the creation if it is executed alone.
    pub(super) atomicity: Atomicity,
}

/// Executes the creations of many callers.
pub(super) const BATCH_OPS: BatchOps<Creation, User, Error> = BatchOps {
    row_count: |_| 1,
    atomicity: |creation| creation.atomicity,
    insert_all: |connection, creations, now| Box::pin(create_all(connection, creations, now)),
    insert_one: |connection, creation, now| Box::pin(create_one(connection, creation, now)),
};

/// Creates the users of all new requests by one statement, and saves the responses. Returns
/// `None` for each creation that has to be executed alone: a replayed request, or all of them if
/// the statement cannot insert all users.
async fn create_all(
    connection: &mut SqliteConnection,
    creations: &[Creation],
    now: DateTime<Utc>,
) -> Result<Vec<Option<User>>, sqlx::Error> {
    let requests: Vec<_> = creations.iter().map(|creation| creation.request).collect();
    let Some(Creation { responses, .. }) = creations.first() else {
        return Ok(Vec::new());
    };
    let max_bytes = creations.len() * MAX_RESPONSE_BYTES;
    let new = idempotency::first_seen(connection, responses, &requests, max_bytes).await?;
    let drafts = creations.iter().zip(&new);
    let drafts: Vec<_> = drafts
        .filter_map(|(creation, new)| new.then_some(&creation.draft))
        .collect();
    let Some(users) = insert_all(connection, &drafts, now).await? else {
        return Ok(creations.iter().map(|_| None).collect());
    };
    let users: Vec<_> = scatter(new, users).collect();

    let mut responses = Vec::new();
    for (request, user) in requests.into_iter().zip(&users) {
        if let (Some(request), Some(user)) = (request, user) {
            responses.push((request, json_param(user)?));
        }
    }
    idempotency::save_responses(connection, &responses).await?;
    Ok(users)
}

/// Creates one user and saves the response, or returns the saved one of a replayed request.
pub(super) async fn create_one(
    connection: &mut SqliteConnection,
    creation: &Creation,
    now: DateTime<Utc>,
) -> Result<User, WriteError<Error>> {
    let responses = creation.responses.clone();
    idempotency::once(
        connection,
        responses,
        creation.request,
        async |connection| insert_one(connection, &creation.draft, now).await,
    )
    .await
}

/// Inserts users in their order. If one is rejected, the caller rolls back those before it. `index`
/// is the index of the first user in the client's request.
pub(super) async fn insert_sequence(
    connection: &mut SqliteConnection,
    drafts: &[NewUser],
    now: DateTime<Utc>,
    index: usize,
) -> Result<Vec<User>, WriteError<Error>> {
    let batch: Vec<_> = drafts.iter().collect();
    if let Some(users) = insert_all(connection, &batch, now).await? {
        return Ok(users);
    }
    let mut users = Vec::with_capacity(drafts.len());
    for (index, draft) in (index..).zip(drafts) {
        let user = insert_one(connection, draft, now).await;
        users.push(user.map_err(|failed| failed.map_rejection(|error| error.at_index(index)))?);
    }
    Ok(users)
}

/// Inserts users in their order by one statement, with creation times a microsecond apart.
/// Inserts none if one violates a constraint. After the clock was set back, the times continue
/// those of the newest user.
async fn insert_all(
    connection: &mut SqliteConnection,
    drafts: &[&NewUser],
    now: DateTime<Utc>,
) -> Result<Option<Vec<User>>, sqlx::Error> {
    if let Some(users) = insert_at(connection, drafts, now).await? {
        return Ok(Some(users));
    }
    let newest = sqlx::query_scalar!(
        r#"select create_time as "create_time!" from users where id = (select max(id) from users)"#
    );
    let newest = newest.fetch_optional(&mut *connection).await?;
    match newest.and_then(DateTime::from_timestamp_micros) {
        // The clock was set back, or the newest user is in the same microsecond.
        Some(newest) if newest >= now => {
            insert_at(connection, drafts, newest + TimeDelta::microseconds(1)).await
        }
        _ => Ok(None),
    }
}

/// Inserts users as [`insert_all`] does, with `now` as the first creation time. Also inserts none
/// if the newest user is not earlier than `now`.
async fn insert_at(
    connection: &mut SqliteConnection,
    drafts: &[&NewUser],
    now: DateTime<Utc>,
) -> Result<Option<Vec<User>>, sqlx::Error> {
    if drafts.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let rows = drafts.iter().map(|draft| {
        let (nickname, email) = (&draft.nickname, &draft.email);
        let (nickname, nickname_key) = (nickname.as_str(), nickname.key());
        let (email, email_key) = (email.as_str(), email.key());
        (nickname, nickname_key, email, email_key, role(draft.role))
    });
    let (rows, first) = (
        json_param(&rows.collect::<Vec<_>>())?,
        now.timestamp_micros(),
    );
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
    .await;
    let Some(ids) = none_on_constraint_violation(written.map(|written| inserted_ids(&written)))?
    else {
        return Ok(None);
    };
    let times = (0..).map(|index| now + TimeDelta::microseconds(index));
    let users = ids.zip(times).zip(drafts);
    Ok(Some(
        users
            .map(|((id, time), draft)| user(id, draft, time))
            .collect(),
    ))
}

/// Inserts a user. The creation time is later than that of every earlier user, even after the
/// clock was set back.
async fn insert_one(
    connection: &mut SqliteConnection,
    draft: &NewUser,
    now: DateTime<Utc>,
) -> Result<User, WriteError<Error>> {
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
    .map_err(|error| map_unique_violation(error, nickname, email))?;
    let create_time = time(created.create_time).map_err(Error::Corrupt)?;
    Ok(user(created.id, draft, create_time))
}

/// Returns a new user as it is stored.
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
