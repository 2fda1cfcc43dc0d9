//! Updates, deletions and commits of users.

use chassis::{database::WriteError, serving::etag::match_etag};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{
    constraints::{map_reference_violation, map_unique_violation},
    create::{insert_sequence, lock_head},
    read,
    row::role,
};
use crate::{
    error::Error,
    user::{Email, Mutation, Nickname, PurgeFilter, User, UserDeletion, UserUpdate},
};

/// Executes mutations in their order, up to the first that is rejected. Adjacent creations are
/// inserted by one statement.
pub(super) async fn mutate(
    connection: &mut PgConnection,
    mutations: &[Mutation],
    now: DateTime<Utc>,
) -> Result<Vec<Option<User>>, WriteError<Error>> {
    let mut users = Vec::with_capacity(mutations.len());
    while let Some(mutation) = mutations.get(users.len()) {
        let at =
            |failed: WriteError<Error>| failed.map_rejection(|error| error.at_index(users.len()));
        match mutation {
            Mutation::Create(_) => {
                let drafts = mutations[users.len()..]
                    .iter()
                    .map_while(|mutation| match mutation {
                        Mutation::Create(draft) => Some(draft),
                        Mutation::Update(_) | Mutation::Delete(_) => None,
                    });
                let drafts: Vec<_> = drafts.collect();
                let created = insert_sequence(connection, &drafts, now, users.len()).await?;
                users.extend(created.into_iter().map(Some));
            }
            Mutation::Update(update) => {
                let user = self::update(connection, update, now).await.map_err(at)?;
                users.push(Some(user));
            }
            Mutation::Delete(deletion) => {
                delete(connection, deletion).await.map_err(at)?;
                users.push(None);
            }
        }
    }
    Ok(users)
}

/// Locks the head, if a user is created, and then the rows that are changed, in the order of their
/// ids. Two commits that lock in different orders would wait for each other until one is aborted.
pub(super) async fn lock(
    connection: &mut PgConnection,
    mutations: &[Mutation],
) -> Result<(), sqlx::Error> {
    if mutations.iter().any(Mutation::creates) {
        lock_head(connection).await?;
    }
    let ids: Vec<_> = mutations
        .iter()
        .filter_map(|mutation| match mutation {
            Mutation::Create(_) => None,
            Mutation::Update(update) => Some(update.id.get()),
            Mutation::Delete(deletion) => Some(deletion.id.get()),
        })
        .collect();
    if !ids.is_empty() {
        sqlx::query_scalar!(
            "select id from users where id = any($1) order by id for update",
            &ids
        )
        .fetch_all(connection)
        .await?;
    }
    Ok(())
}

/// Updates the fields of a user, unless no value changes.
pub(super) async fn update(
    connection: &mut PgConnection,
    update: &UserUpdate,
    now: DateTime<Utc>,
) -> Result<User, WriteError<Error>> {
    let row = read::find_for_update(connection, update.id)
        .await?
        .ok_or(Error::NotFound(update.id.get()))?;
    let user = User::try_from(row)?;
    match_etag(user.id, user.etag(), update.etag.as_ref()).map_err(Error::EtagMismatch)?;
    if update.is_noop(&user) {
        return Ok(user);
    }

    let nickname_key = update.nickname.as_ref().map(Nickname::key);
    let email_key = update.email.as_ref().map(Email::key);
    let changed = update.apply(user, now);
    sqlx::query!(
        "update users
        set nickname = $2, nickname_key = coalesce($3, nickname_key),
            email = $4, email_key = coalesce($5, email_key),
            role = $6, update_time = $7, revision = $8
        where id = $1",
        changed.id,
        changed.nickname,
        nickname_key as _,
        changed.email,
        email_key as _,
        role(changed.role),
        changed.update_time.timestamp_micros(),
        changed.revision
    )
    .execute(connection)
    .await
    .map_err(|error| map_unique_violation(error, &changed.nickname, &changed.email))?;
    Ok(changed)
}

pub(super) async fn delete(
    connection: &mut PgConnection,
    deletion: &UserDeletion,
) -> Result<(), WriteError<Error>> {
    let id = deletion.id.get();
    let Some(row) = read::find_for_update(connection, deletion.id).await? else {
        return if deletion.allow_missing {
            Ok(())
        } else {
            Err(Error::NotFound(id).into())
        };
    };
    let user = User::try_from(row)?;
    match_etag(id, user.etag(), deletion.etag.as_ref()).map_err(Error::EtagMismatch)?;
    sqlx::query!("delete from users where id = $1", id)
        .execute(connection)
        .await
        .map_err(|error| map_reference_violation(error, || format!("user {id} is")))?;
    Ok(())
}

pub(super) async fn purge(
    connection: &mut PgConnection,
    filter: PurgeFilter,
) -> Result<i64, WriteError<Error>> {
    let purged = sqlx::query!(
        "delete from users where ($1::smallint is null or role = $1)",
        read::role_of(filter)
    )
    .execute(connection)
    .await
    .map_err(|error| map_reference_violation(error, || "some of these users are".into()))?;
    Ok(i64::try_from(purged.rows_affected()).unwrap_or(i64::MAX))
}
