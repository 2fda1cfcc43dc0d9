//! Changing users.

use chassis::{
    database::{Scope, Stop, sqlite::Source},
    idempotency::{Request, Write},
    serving::etag::match_etag,
};
use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;

use super::{
    Store,
    create::{Creation, create_one, insert_sequence},
    read, requests,
    row::role,
};
use crate::{
    error::Error,
    user::{Change, Deletion, Email, Mutation, NewUser, Nickname, Role, Selection, User},
};

impl Store {
    /// Creates a user. One who is only tried has the id 0.
    ///
    /// # Errors
    ///
    /// [`Error::NicknameTaken`], [`Error::EmailTaken`] and [`Error::RequestIdReused`].
    pub async fn create(&self, draft: NewUser, write: Write) -> Result<User, Error> {
        let now = self.clock.now();
        let request = Request::of(write, "CreateUser", &draft, now)
            .map_err(|error| requests::unreadable(&error))?;
        let creation = Creation {
            draft,
            request,
            scope: write.scope(Scope::Statement),
        };
        if !write.validate_only {
            return self.creations.write(creation).await;
        }
        let user = self.database.write(creation.scope, move |connection| {
            Box::pin(async move { create_one(connection, &creation, now).await })
        });
        Ok(User {
            id: 0,
            ..user.await?
        })
    }

    /// Changes a user, who is returned as stored. A change to what the user already is
    /// leaves the row, its times and its etag alone.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::EtagMismatch`], [`Error::NicknameTaken`] and
    /// [`Error::EmailTaken`].
    pub async fn update(&self, change: Change, validate_only: bool) -> Result<User, Error> {
        let write = Write {
            validate_only,
            ..Write::default()
        };
        let now = self.clock.now();
        self.database
            .write(write.scope(Scope::Statement), move |connection| {
                Box::pin(update(connection, change, now))
            })
            .await
    }

    /// Deletes a user.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::EtagMismatch`] and [`Error::HasPosts`].
    pub async fn delete(&self, deletion: Deletion) -> Result<(), Error> {
        self.database
            .write(Scope::Statement, move |connection| {
                Box::pin(delete(connection, deletion))
            })
            .await
    }

    /// Makes all changes, each of which sees those before it, or none. The users are
    /// returned as stored by each, and none for a deletion.
    ///
    /// # Errors
    ///
    /// [`Error::Mutation`] for the first one that fails, [`Error::RequestIdReused`].
    pub async fn commit(
        &self,
        mutations: Vec<Mutation>,
        write: Write,
    ) -> Result<Vec<Option<User>>, Error> {
        let now = self.clock.now();
        let request = Request::of(write, "CommitUsers", &mutations, now)
            .map_err(|error| requests::unreadable(&error))?;
        let created: Vec<_> = mutations.iter().map(Mutation::creates).collect();
        let mut users: Vec<Option<User>> = self
            .database
            .write(write.scope(Scope::Savepoint), move |connection| {
                Box::pin(requests::once(
                    connection,
                    request,
                    async move |connection| mutate(connection, mutations, now).await,
                ))
            })
            .await?;
        if write.validate_only {
            for (user, created) in users.iter_mut().zip(created) {
                if let (Some(user), true) = (user, created) {
                    user.id = 0;
                }
            }
        }
        Ok(users)
    }

    /// Deletes the users of a selection, and says how many.
    ///
    /// # Errors
    ///
    /// [`Error::HasPosts`], and then none is deleted.
    pub async fn purge(&self, selection: Selection) -> Result<i64, Error> {
        self.database
            .write(Scope::Statement, move |connection| {
                Box::pin(purge(connection, selection))
            })
            .await
    }
}

/// Makes the changes in their order, up to the first that is refused. Who is created one
/// after the other is created together.
async fn mutate(
    connection: &mut SqliteConnection,
    mutations: Vec<Mutation>,
    now: DateTime<Utc>,
) -> Result<Vec<Option<User>>, Stop<Error>> {
    let mut users = Vec::with_capacity(mutations.len());
    let mut mutations = mutations.into_iter().peekable();
    while let Some(mutation) = mutations.next() {
        let at = |stop: Stop<Error>| stop.map_refusal(|error| error.at(users.len()));
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
            Mutation::Update(change) => {
                users.push(Some(update(connection, change, now).await.map_err(at)?));
            }
            Mutation::Delete(deletion) => {
                delete(connection, deletion).await.map_err(at)?;
                users.push(None);
            }
        }
    }
    Ok(users)
}

/// Writes the changed fields of a user, if any is changed.
async fn update(
    connection: &mut SqliteConnection,
    change: Change,
    now: DateTime<Utc>,
) -> Result<User, Stop<Error>> {
    let row = read::find(Source::Connection(connection), change.id)
        .await?
        .ok_or(Error::NotFound(change.id.get()))?;
    let user = User::try_from(row)?;
    match_etag(user.id, user.etag(), change.etag.as_ref()).map_err(Error::EtagMismatch)?;
    if change.is_idle(&user) {
        return Ok(user);
    }

    let nickname_key = change.nickname.as_ref().map(Nickname::key);
    let email_key = change.email.as_ref().map(Email::key);
    let changed = User {
        id: user.id,
        nickname: change
            .nickname
            .as_ref()
            .map_or(user.nickname, |n| n.as_str().to_owned()),
        email: change
            .email
            .as_ref()
            .map_or(user.email, |e| e.as_str().to_owned()),
        role: change.role.unwrap_or(user.role),
        create_time: user.create_time,
        // Never earlier than the change before, even if the clock was put back.
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
    .map_err(|error| taken(error, &changed.nickname, &changed.email))?;
    Ok(changed)
}

async fn delete(connection: &mut SqliteConnection, deletion: Deletion) -> Result<(), Stop<Error>> {
    let id = deletion.id.get();
    let Some(row) = read::find(Source::Connection(connection), deletion.id).await? else {
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
        .map_err(|error| referenced(error, || format!("user {id} is")))?;
    Ok(())
}

async fn purge(
    connection: &mut SqliteConnection,
    selection: Selection,
) -> Result<i64, Stop<Error>> {
    let done = match selection {
        Selection::All => sqlx::query!("delete from users"),
        Selection::Role(Role::User) => sqlx::query!("delete from users where role = 0"),
        Selection::Role(Role::Admin) => sqlx::query!("delete from users where role = 1"),
    }
    .execute(connection)
    .await
    .map_err(|error| referenced(error, || "some of these users are".into()))?;
    Ok(i64::try_from(done.rows_affected()).unwrap_or(i64::MAX))
}

/// A constraint that a write can violate, although its values are valid.
enum Constraint {
    Nickname,
    Email,
    Reference,
}

/// Which constraint was violated, if one was. SQLite names the columns of a unique key,
/// and of a foreign key nothing.
fn violated(error: &sqlx::Error) -> Option<Constraint> {
    let error = error.as_database_error()?;
    if error.is_unique_violation() {
        let message = error.message();
        return if message.ends_with("users.nickname_key") {
            Some(Constraint::Nickname)
        } else if message.ends_with("users.email_key") {
            Some(Constraint::Email)
        } else {
            None
        };
    }
    // SQLITE_CONSTRAINT_FOREIGNKEY and, for RESTRICT, SQLITE_CONSTRAINT_TRIGGER.
    matches!(error.code().as_deref(), Some("787" | "1811")).then_some(Constraint::Reference)
}

pub(super) fn taken(error: sqlx::Error, nickname: &str, email: &str) -> Stop<Error> {
    match violated(&error) {
        Some(Constraint::Nickname) => Error::NicknameTaken(nickname.into()).into(),
        Some(Constraint::Email) => Error::EmailTaken(email.into()).into(),
        _ => Stop::Engine(error),
    }
}

fn referenced(error: sqlx::Error, whom: impl FnOnce() -> String) -> Stop<Error> {
    match violated(&error) {
        Some(Constraint::Reference) => Error::HasPosts(whom()).into(),
        _ => Stop::Engine(error),
    }
}
