//! The store of users in SQLite, with all SQL of the user service.
//!
//! It writes the tables `users` and `user_requests`. It does not know how users are sent.

mod constraints;
mod create;
mod idempotency;
mod read;
mod row;
mod write;

use std::collections::HashMap;

use chassis::{
    database::{
        AccessPolicy, Atomicity, Requirements, WriteError,
        idempotency::KeyedRequest,
        sqlite::{Batcher, Database, ReadSource, json_param},
    },
    idempotency::WriteOptions,
    process::clock::Clock,
};
use include_dir::{Dir, include_dir};

use self::{
    create::{Creation, create_one},
    read::{count, find, page, page_of, sample},
    row::select_users,
    write::{delete, mutate, purge},
};
use super::{ListQuery, Page, UserStore};
use crate::{
    error::Error,
    user::{LookupKey, Mutation, NewUser, PurgeFilter, User, UserDeletion, UserId, UserUpdate},
};

/// All statements of this module tree, as recorded by `cargo sqlx prepare`.
static QUERIES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/.sqlx");

/// The requirements of the service on the database.
pub static REQUIREMENTS: Requirements = Requirements {
    access: &AccessPolicy {
        owned_tables: &["users", "user_requests"],
        // The foreign key reads it when a user is deleted.
        readable_columns: &[("posts", "user_id")],
    },
    // From this version on, the foreign key of `posts` protects users who have posts.
    min_schema_version: 2,
    statements: || {
        QUERIES
            .files()
            .filter_map(include_dir::File::contents_utf8)
            .collect()
    },
};

/// A store of users in one SQLite file.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    database: Database,
    clock: Clock,
    creations: Batcher<Creation, User, Error>,
}

impl SqliteStore {
    /// Returns a store of the users in `database`. `clock` provides creation and update times.
    #[must_use]
    pub fn new(database: Database, clock: Clock) -> Self {
        Self {
            creations: database.batcher(create::BATCH_OPS, clock.clone()),
            database,
            clock,
        }
    }
}

impl UserStore for SqliteStore {
    async fn get(&self, id: UserId) -> Result<User, Error> {
        find(self.database.read_source(1), id)
            .await?
            .ok_or(Error::NotFound(id.get()))?
            .try_into()
    }

    async fn lookup(&self, key: &LookupKey) -> Result<User, Error> {
        let mut source = self.database.read_source(1);
        let (rows, name) = match key {
            LookupKey::Nickname(nickname) => {
                let key = nickname.key();
                let rows = select_users!(&mut source, "users where nickname_key = ?1", key);
                (rows, "nickname")
            }
            LookupKey::Email(email) => {
                let key = email.key();
                let rows = select_users!(&mut source, "users where email_key = ?1", key);
                (rows, "email address")
            }
        };
        let row = rows?.into_iter().next();
        row.ok_or(Error::KeyNotFound(name))?.try_into()
    }

    async fn batch_get(&self, ids: &[UserId]) -> Result<Vec<Option<User>>, Error> {
        let mut source = self.database.read_source(ids.len());
        let asked = json_param(&ids)?;
        // A single statement reads one snapshot.
        let rows = select_users!(
            &mut source,
            "json_each(?1) as asked join users on users.id = asked.value",
            &asked
        )?;
        let mut users = HashMap::with_capacity(rows.len());
        for row in rows {
            users.insert(row.id, User::try_from(row)?);
        }
        Ok(ids.iter().map(|id| users.remove(&id.get())).collect())
    }

    async fn list(&self, query: &ListQuery) -> Result<Page, Error> {
        if !query.count {
            let source = match query.role {
                None => self.database.read_source(query.size.rows()),
                // Users of one role may be few and far apart, so the scan may be long.
                Some(_) => ReadSource::Pool(&self.database),
            };
            return page_of(page(source, query).await?, query, None);
        }
        let filter = query.role.map_or(PurgeFilter::All, PurgeFilter::Role);
        let read = self.database.snapshot(async |connection| {
            let rows = page(ReadSource::Transaction(&mut *connection), query).await?;
            Ok((rows, count(connection, filter).await?))
        });
        let (rows, total) = read.await?;
        page_of(rows, query, Some(total))
    }

    async fn preview_purge(&self, filter: PurgeFilter) -> Result<(i64, Vec<i64>), Error> {
        let read = self.database.snapshot(async |connection| {
            let count = count(connection, filter).await?;
            Ok((count, sample(connection, filter).await?))
        });
        Ok(read.await?)
    }

    async fn create(&self, draft: NewUser, options: WriteOptions) -> Result<User, Error> {
        let clock = self.clock.clone();
        let request =
            KeyedRequest::from_payload(options.idempotency_key, "CreateUser", &draft, clock.now())?;
        let creation = Creation {
            draft,
            request,
            responses: self.database.stored_responses(),
            atomicity: options.atomicity(Atomicity::SingleStatement),
        };
        if !options.validate_only {
            return self.creations.write(creation).await;
        }
        let user = self.database.write(creation.atomicity, move |connection| {
            Box::pin(async move { create_one(connection, &creation, clock.now()).await })
        });
        Ok(User {
            id: 0,
            ..user.await?
        })
    }

    async fn update(&self, update: UserUpdate, validate_only: bool) -> Result<User, Error> {
        let options = WriteOptions {
            validate_only,
            ..WriteOptions::default()
        };
        let now = self.clock.now();
        self.database
            .write(
                options.atomicity(Atomicity::SingleStatement),
                move |connection| Box::pin(write::update(connection, update, now)),
            )
            .await
    }

    async fn delete(&self, deletion: UserDeletion) -> Result<(), Error> {
        self.database
            .write(Atomicity::SingleStatement, move |connection| {
                Box::pin(delete(connection, deletion))
            })
            .await
    }

    async fn commit(
        &self,
        mutations: Vec<Mutation>,
        options: WriteOptions,
    ) -> Result<Vec<Option<User>>, Error> {
        let clock = self.clock.clone();
        let request = KeyedRequest::from_payload(
            options.idempotency_key,
            "CommitUsers",
            &mutations,
            clock.now(),
        )?;
        let responses = self.database.stored_responses();
        let created: Vec<_> = mutations.iter().map(Mutation::creates).collect();
        let mut users: Vec<Option<User>> = self
            .database
            .write(options.atomicity(Atomicity::Savepoint), move |connection| {
                Box::pin(idempotency::once(
                    connection,
                    responses,
                    request,
                    // Read the clock at execution: a time from before the wait in the queue
                    // could be older than the newest row, which needs another statement.
                    async move |connection| mutate(connection, mutations, clock.now()).await,
                ))
            })
            .await?;
        if options.validate_only {
            for (user, created) in users.iter_mut().zip(created) {
                if let (Some(user), true) = (user, created) {
                    user.id = 0;
                }
            }
        }
        Ok(users)
    }

    async fn purge(&self, filter: PurgeFilter) -> Result<i64, Error> {
        self.database
            .write(Atomicity::SingleStatement, move |connection| {
                Box::pin(purge(connection, filter))
            })
            .await
    }

    async fn prune_idempotency_records(&self) -> Result<bool, Error> {
        let now = self.clock.now();
        let more = self
            .database
            .write(Atomicity::SingleStatement, move |connection| {
                Box::pin(async move {
                    Ok::<_, WriteError<Error>>(idempotency::prune(connection, now).await?)
                })
            })
            .await?;
        if !more {
            idempotency::recount(&self.database).await?;
        }
        Ok(more)
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

impl From<Error> for WriteError<Error> {
    fn from(rejection: Error) -> Self {
        Self::Rejected(rejection)
    }
}
