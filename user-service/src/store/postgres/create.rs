//! Creations of users: of many callers by one statement, or of each caller separately.

use chassis::database::{
    WriteError,
    idempotency::{KeyedRequest, scatter},
    postgres::{BatchOps, none_on_constraint_violation},
    stored_responses::StoredResponses,
    time,
};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::{constraints::map_unique_violation, idempotency, row::role};
use crate::{
    error::Error,
    store::MAX_RESPONSE_BYTES,
    user::{NewUser, User},
};

/// The creation of a user for one caller.
#[derive(Debug)]
pub(super) struct Creation {
    pub(super) draft: NewUser,
    /// The request, if the caller may replay it.
    pub(super) request: Option<KeyedRequest>,
    /// The limit on the saved responses.
    pub(super) responses: StoredResponses,
}

/// Executes the creations of many callers.
pub(super) const BATCH_OPS: BatchOps<Creation, User, Error> = BatchOps {
    row_count: |_| 1,
    has_key: |creation| creation.request.is_some(),
    lock: |connection| Box::pin(lock_head(connection)),
    insert_all: |connection, creations, now| Box::pin(create_all(connection, creations, now)),
    insert_one: |connection, creation, now| Box::pin(create_one(connection, creation, now)),
};

/// Creates the users of all new requests by one statement, and saves the responses. Returns
/// `None` for each creation that has to be executed alone: a replayed request, or all of them if
/// the statement cannot insert all users.
async fn create_all(
    connection: &mut PgConnection,
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
    let inserted = insert(connection, &drafts, now).await;
    let Some(users) = none_on_constraint_violation(inserted)? else {
        return Ok(creations.iter().map(|_| None).collect());
    };
    let users: Vec<_> = scatter(new, users).collect();

    let mut responses = Vec::new();
    for (request, user) in requests.into_iter().zip(&users) {
        if let (Some(request), Some(user)) = (request, user) {
            responses.push((request, json(user)?));
        }
    }
    idempotency::save_responses(connection, &responses).await?;
    Ok(users)
}

/// Creates one user and saves the response, or returns the saved one of a replayed request.
pub(super) async fn create_one(
    connection: &mut PgConnection,
    creation: &Creation,
    now: DateTime<Utc>,
) -> Result<User, WriteError<Error>> {
    let (responses, request) = (&creation.responses, creation.request);
    idempotency::once(connection, responses, request, async |connection| {
        insert_one(connection, &creation.draft, now).await
    })
    .await
}

/// Locks the row that gives out ids, until the end of the transaction.
pub(super) async fn lock_head(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query_scalar!("select id from user_head for update")
        .fetch_one(connection)
        .await
        .map(drop)
}

/// Inserts users in their order. If one is rejected, the caller rolls back those before it. `index`
/// is the index of the first user in the client's request.
pub(super) async fn insert_sequence(
    connection: &mut PgConnection,
    drafts: &[&NewUser],
    now: DateTime<Utc>,
    index: usize,
) -> Result<Vec<User>, WriteError<Error>> {
    sqlx::query("savepoint users")
        .execute(&mut *connection)
        .await?;
    let inserted = insert(connection, drafts, now).await;
    if let Some(users) = none_on_constraint_violation(inserted)? {
        sqlx::query("release users").execute(connection).await?;
        return Ok(users);
    }
    // One of them is rejected: find out which one is the first.
    sqlx::query("rollback to users")
        .execute(&mut *connection)
        .await?;
    let mut users = Vec::with_capacity(drafts.len());
    for (index, draft) in (index..).zip(drafts) {
        let user = insert_one(connection, draft, now).await;
        users.push(user.map_err(|failed| failed.map_rejection(|error| error.at_index(index)))?);
    }
    Ok(users)
}

/// Inserts a user.
async fn insert_one(
    connection: &mut PgConnection,
    draft: &NewUser,
    now: DateTime<Utc>,
) -> Result<User, WriteError<Error>> {
    let inserted = insert(connection, &[draft], now).await;
    let users = inserted.map_err(|error| {
        map_unique_violation(error, draft.nickname.as_str(), draft.email.as_str())
    })?;
    let user = users.into_iter().next();
    Ok(user.ok_or_else(|| Error::Corrupt("a creation of one user has none".into()))?)
}

/// Inserts users in their order by one statement, with creation times a microsecond apart. After the
/// clock was set back, the times continue those of the newest user.
///
/// In READ COMMITTED, the update of the head waits for the transaction that holds its lock, and then
/// reads its newest version. So no other statement is needed for a current snapshot.
async fn insert(
    connection: &mut PgConnection,
    drafts: &[&NewUser],
    now: DateTime<Utc>,
) -> Result<Vec<User>, sqlx::Error> {
    if drafts.is_empty() {
        return Ok(Vec::new());
    }
    let (mut nicknames, mut nickname_keys) = (Vec::new(), Vec::new());
    let (mut emails, mut email_keys) = (Vec::new(), Vec::new());
    let mut roles = Vec::new();
    for draft in drafts {
        nicknames.push(draft.nickname.as_str());
        nickname_keys.push(draft.nickname.key());
        emails.push(draft.email.as_str());
        email_keys.push(draft.email.key());
        roles.push(role(draft.role));
    }
    let count = i64::try_from(drafts.len()).unwrap_or(i64::MAX);
    let head = sqlx::query!(
        r#"with head as (
            update user_head set id = id + $6, time = greatest(time + 1, $7) + $6 - 1
            returning id - $6 as last_id, time - $6 as last_time
        ), inserted as (
            insert into users
                (id, nickname, nickname_key, email, email_key, role, create_time, update_time, revision)
            select last_id + at, nickname, nickname_key, email, email_key, role,
                last_time + at, last_time + at, 1
            from head, unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::smallint[])
                with ordinality as draft (nickname, nickname_key, email, email_key, role, at)
        )
        select last_id as "last_id!", last_time as "last_time!" from head"#,
        &nicknames as _,
        &nickname_keys as _,
        &emails as _,
        &email_keys as _,
        &roles,
        count,
        now.timestamp_micros()
    )
    .fetch_one(connection)
    .await?;
    let last = time(head.last_time).map_err(sqlx::Error::Protocol)?;
    let users = (1..).zip(drafts).map(|(at, draft)| {
        let time = last + TimeDelta::microseconds(at);
        user(head.last_id + at, draft, time)
    });
    Ok(users.collect())
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

fn json(user: &User) -> Result<String, sqlx::Error> {
    serde_json::to_string(user).map_err(|error| sqlx::Error::Encode(error.into()))
}
