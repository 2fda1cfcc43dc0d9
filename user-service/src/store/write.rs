//! Changing users.

use chassis::{
    database::{Scope, Stop},
    etag::Etag,
    idempotency::{Request, Write},
};
use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;

use super::{
    Store, read, requests,
    row::{role, time},
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
        let mut user: User = self
            .database
            .write(write.scope(Scope::Statement), move |connection| {
                Box::pin(async move {
                    if let Some(user) = requests::answer(connection, request).await? {
                        return Ok(user);
                    }
                    let user = insert(connection, draft, now).await?;
                    requests::keep(connection, request, &user).await?;
                    Ok::<_, Stop<Error>>(user)
                })
            })
            .await?;
        if write.validate_only {
            user.id = 0;
        }
        Ok(user)
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
        let created: Vec<_> = mutations
            .iter()
            .map(|mutation| matches!(mutation, Mutation::Create(_)))
            .collect();
        let mut users: Vec<Option<User>> = self
            .database
            .write(write.scope(Scope::Savepoint), move |connection| {
                Box::pin(async move {
                    if let Some(users) = requests::answer(connection, request).await? {
                        return Ok(users);
                    }
                    let mut users = Vec::with_capacity(mutations.len());
                    for (index, mutation) in mutations.into_iter().enumerate() {
                        let user = mutate(connection, mutation, now).await;
                        users.push(user.map_err(|stop| stop.map_refusal(|error| error.at(index)))?);
                    }
                    requests::keep(connection, request, &users).await?;
                    Ok::<_, Stop<Error>>(users)
                })
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

async fn mutate(
    connection: &mut SqliteConnection,
    mutation: Mutation,
    now: DateTime<Utc>,
) -> Result<Option<User>, Stop<Error>> {
    match mutation {
        Mutation::Create(draft) => insert(connection, draft, now).await.map(Some),
        Mutation::Update(change) => update(connection, change, now).await.map(Some),
        Mutation::Delete(deletion) => delete(connection, deletion).await.map(|()| None),
    }
}

/// Writes a new user, whose creation time is later than that of all before, even if the
/// clock was put back.
async fn insert(
    connection: &mut SqliteConnection,
    draft: NewUser,
    now: DateTime<Utc>,
) -> Result<User, Stop<Error>> {
    let NewUser {
        nickname,
        email,
        role: user_role,
    } = &draft;
    let (text, key) = (nickname.as_str(), nickname.key());
    let (address, address_key) = (email.as_str(), email.key());
    let (role, now) = (role(*user_role), now.timestamp_micros());
    let inserted = sqlx::query!(
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
        text,
        key,
        address,
        address_key,
        role,
        now
    )
    .fetch_one(connection)
    .await
    .map_err(|error| taken(error, text, address))?;
    let create_time = time(inserted.create_time)?;
    Ok(User {
        id: inserted.id,
        nickname: text.to_owned(),
        email: address.to_owned(),
        role: draft.role,
        create_time,
        update_time: create_time,
        revision: 1,
    })
}

/// Writes the changed fields of a user, if any is changed.
async fn update(
    connection: &mut SqliteConnection,
    change: Change,
    now: DateTime<Utc>,
) -> Result<User, Stop<Error>> {
    let row = read::find(connection, change.id)
        .await?
        .ok_or(Error::NotFound(change.id.get()))?;
    let user = User::try_from(row)?;
    match_etag(&user, change.etag.as_ref())?;
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
    let Some(row) = read::find(connection, deletion.id).await? else {
        return if deletion.allow_missing {
            Ok(())
        } else {
            Err(Error::NotFound(id).into())
        };
    };
    match_etag(&row.try_into()?, deletion.etag.as_ref())?;
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

fn match_etag(user: &User, etag: Option<&Etag>) -> Result<(), Error> {
    let current = user.etag();
    match etag {
        Some(etag) if *etag != current => Err(Error::EtagMismatch {
            id: user.id,
            etag: current.into_string(),
        }),
        _ => Ok(()),
    }
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

fn taken(error: sqlx::Error, nickname: &str, email: &str) -> Stop<Error> {
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
