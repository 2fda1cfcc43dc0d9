//! Updates, deletions and commits of users.

use chassis::{
    database::{WriteError, sqlite::ReadSource},
    serving::etag::match_etag,
};
use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;

use super::{
    constraints::{map_reference_violation, map_unique_violation},
    create::insert_sequence,
    read,
    row::role,
};
use crate::{
    error::Error,
    user::{Email, Mutation, Nickname, PurgeFilter, Role, User, UserDeletion, UserUpdate},
};

/// Executes mutations in their order, up to the first that is rejected. Adjacent creations are
/// inserted by one statement.
pub(super) async fn mutate(
    connection: &mut SqliteConnection,
    mutations: Vec<Mutation>,
    now: DateTime<Utc>,
) -> Result<Vec<Option<User>>, WriteError<Error>> {
    let mut users = Vec::with_capacity(mutations.len());
    let mut mutations = mutations.into_iter().peekable();
    while let Some(mutation) = mutations.next() {
        let at =
            |failed: WriteError<Error>| failed.map_rejection(|error| error.at_index(users.len()));
        match mutation {
            Mutation::Create(draft) => {
                let mut drafts = vec![draft];
                while let Some(next) = mutations.next_if(Mutation::creates) {
                    if let Mutation::Create(draft) = next {
                        drafts.push(draft);
                    }
                }
                let created = insert_sequence(connection, &drafts, now, users.len()).await?;
                users.extend(created.into_iter().map(Some));
            }
            Mutation::Update(update) => {
                users.push(Some(
                    self::update(connection, update, now).await.map_err(at)?,
                ));
            }
            Mutation::Delete(deletion) => {
                delete(connection, deletion).await.map_err(at)?;
                users.push(None);
            }
        }
    }
    Ok(users)
}

/// Updates the fields of a user, unless no value changes.
pub(super) async fn update(
    connection: &mut SqliteConnection,
    update: UserUpdate,
    now: DateTime<Utc>,
) -> Result<User, WriteError<Error>> {
    let row = read::find(ReadSource::Transaction(connection), update.id)
        .await?
        .ok_or(Error::NotFound(update.id.get()))?;
    let user = User::try_from(row)?;
    match_etag(user.id, user.etag(), update.etag.as_ref()).map_err(Error::EtagMismatch)?;
    if update.is_noop(&user) {
        return Ok(user);
    }

    let nickname_key = update.nickname.as_ref().map(Nickname::key);
    let email_key = update.email.as_ref().map(Email::key);
    let changed = User {
        id: user.id,
        nickname: update
            .nickname
            .as_ref()
            .map_or(user.nickname, |n| n.as_str().to_owned()),
        email: update
            .email
            .as_ref()
            .map_or(user.email, |e| e.as_str().to_owned()),
        role: update.role.unwrap_or(user.role),
        create_time: user.create_time,
        // The update time never falls, even if the clock was set back.
        update_time: now.max(user.update_time),
        revision: user.revision + 1,
    };
    let (role, update_time) = (role(changed.role), changed.update_time.timestamp_micros());
    sqlx::query!(
        "update users
        set nickname = ?2, nickname_key = coalesce(?3, nickname_key),
            email = ?4, email_key = coalesce(?5, email_key),
            role = ?6, update_time = ?7, revision = ?8
        where id = ?1",
        changed.id,
        changed.nickname,
        nickname_key,
        changed.email,
        email_key,
        role,
        update_time,
        changed.revision
    )
    .execute(connection)
    .await
    .map_err(|error| map_unique_violation(error, &changed.nickname, &changed.email))?;
    Ok(changed)
}

pub(super) async fn delete(
    connection: &mut SqliteConnection,
    deletion: UserDeletion,
) -> Result<(), WriteError<Error>> {
    let id = deletion.id.get();
    let Some(row) = read::find(ReadSource::Transaction(connection), deletion.id).await? else {
        return if deletion.allow_missing {
            Ok(())
        } else {
            Err(Error::NotFound(id).into())
        };
    };
    let user = User::try_from(row)?;
    match_etag(id, user.etag(), deletion.etag.as_ref()).map_err(Error::EtagMismatch)?;
    sqlx::query!("delete from users where id = ?1", id)
        .execute(connection)
        .await
        .map_err(|error| map_reference_violation(error, || format!("user {id} is")))?;
    Ok(())
}

pub(super) async fn purge(
    connection: &mut SqliteConnection,
    filter: PurgeFilter,
) -> Result<i64, WriteError<Error>> {
    let done = match filter {
        PurgeFilter::All => sqlx::query!("delete from users"),
        PurgeFilter::Role(Role::User) => sqlx::query!("delete from users where role = 0"),
        PurgeFilter::Role(Role::Admin) => sqlx::query!("delete from users where role = 1"),
    }
    .execute(connection)
    .await
    .map_err(|error| map_reference_violation(error, || "some of these users are".into()))?;
    Ok(i64::try_from(done.rows_affected()).unwrap_or(i64::MAX))
}
