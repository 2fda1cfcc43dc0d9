//! The store of users in PostgreSQL, with the SQL of the user service for this engine.
//!
//! It writes the tables `users`, `user_head` and `user_requests`. A creation updates the only row of
//! `user_head`, which gives out the ids: its lock makes ids visible in their order. Every other write
//! locks the rows that it names in the order of their ids, so that no two writes wait for each other.

mod constraints;
mod create;
mod idempotency;
mod read;
mod row;
mod write;

use std::{collections::HashMap, sync::Arc};

use chassis::{
    database::{
        WriteError,
        idempotency::KeyedRequest,
        postgres::{Batcher, Database, Transaction},
    },
    idempotency::WriteOptions,
    process::clock::Clock,
};

use self::{
    create::{Creation, create_one, lock_head},
    read::{count, find, find_all, find_by_key, page, page_of, sample},
    write::{delete, lock, mutate, purge},
};
use super::{ListQuery, Page, UserStore};
use crate::{
    error::Error,
    user::{LookupKey, Mutation, NewUser, PurgeFilter, User, UserDeletion, UserId, UserUpdate},
};

/// A store of users in one PostgreSQL database.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    database: Database,
    clock: Clock,
    creations: Batcher<Creation, User, Error>,
}

impl PostgresStore {
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

/// Returns the transaction of a write with these options.
fn transaction(options: WriteOptions) -> Transaction {
    match options {
        WriteOptions {
            validate_only: true,
            ..
        } => Transaction::ValidateOnly,
        WriteOptions {
            idempotency_key: Some(_),
            ..
        } => Transaction::Resolvable,
        WriteOptions { .. } => Transaction::Write,
    }
}

impl UserStore for PostgresStore {
    async fn get(&self, id: UserId) -> Result<User, Error> {
        let read = self.database.read::<_, Error>(move |connection| {
            Box::pin(async move { Ok(find(connection, id).await?) })
        });
        read.await?.ok_or(Error::NotFound(id.get()))?.try_into()
    }

    async fn lookup(&self, key: &LookupKey) -> Result<User, Error> {
        let name = match key {
            LookupKey::Nickname(_) => "nickname",
            LookupKey::Email(_) => "email address",
        };
        let key = Arc::new(key.clone());
        let read = self.database.read::<_, Error>(move |connection| {
            let key = Arc::clone(&key);
            Box::pin(async move { Ok(find_by_key(connection, &key).await?) })
        });
        read.await?.ok_or(Error::KeyNotFound(name))?.try_into()
    }

    async fn batch_get(&self, ids: &[UserId]) -> Result<Vec<Option<User>>, Error> {
        let asked: Arc<[i64]> = ids.iter().map(|id| id.get()).collect();
        let read = self.database.read::<_, Error>(move |connection| {
            let asked = Arc::clone(&asked);
            Box::pin(async move { Ok(find_all(connection, &asked).await?) })
        });
        let rows = read.await?;
        let mut users = HashMap::with_capacity(rows.len());
        for row in rows {
            users.insert(row.id, User::try_from(row)?);
        }
        Ok(ids.iter().map(|id| users.remove(&id.get())).collect())
    }

    async fn list(&self, query: &ListQuery) -> Result<Page, Error> {
        let asked = Arc::new(query.clone());
        if !query.count {
            let read = self.database.read::<_, Error>(move |connection| {
                let query = Arc::clone(&asked);
                Box::pin(async move { Ok(page(connection, &query).await?) })
            });
            return page_of(read.await?, query, None);
        }
        let filter = query.role.map_or(PurgeFilter::All, PurgeFilter::Role);
        let read = self.database.snapshot::<_, Error>(move |connection| {
            let query = Arc::clone(&asked);
            Box::pin(async move {
                let rows = page(connection, &query).await?;
                Ok((rows, count(connection, filter).await?))
            })
        });
        let (rows, total) = read.await?;
        page_of(rows, query, Some(total))
    }

    async fn preview_purge(&self, filter: PurgeFilter) -> Result<(i64, Vec<i64>), Error> {
        let read = self.database.snapshot(move |connection| {
            Box::pin(async move {
                let count = count(connection, filter).await?;
                Ok((count, sample(connection, filter).await?))
            })
        });
        read.await
    }

    async fn create(&self, draft: NewUser, options: WriteOptions) -> Result<User, Error> {
        let clock = self.clock.clone();
        let request =
            KeyedRequest::from_payload(options.idempotency_key, "CreateUser", &draft, clock.now())?;
        let creation = Creation {
            draft,
            request,
            responses: self.database.stored_responses(),
        };
        if !options.validate_only {
            return self.creations.write(creation).await;
        }
        let creation = Arc::new(creation);
        let user = self
            .database
            .write(transaction(options), move |connection| {
                let (creation, clock) = (Arc::clone(&creation), clock.clone());
                Box::pin(async move {
                    lock_head(connection).await?;
                    create_one(connection, &creation, clock.now()).await
                })
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
        let (update, now) = (Arc::new(update), self.clock.now());
        self.database
            .write(transaction(options), move |connection| {
                let update = Arc::clone(&update);
                Box::pin(async move { write::update(connection, &update, now).await })
            })
            .await
    }

    async fn delete(&self, deletion: UserDeletion) -> Result<(), Error> {
        let deletion = Arc::new(deletion);
        self.database
            .write(Transaction::Write, move |connection| {
                let deletion = Arc::clone(&deletion);
                Box::pin(async move { delete(connection, &deletion).await })
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
        let created: Vec<_> = mutations.iter().map(Mutation::creates).collect();
        let mutations = Arc::new(mutations);
        let responses = self.database.stored_responses();
        let mut users: Vec<Option<User>> = self
            .database
            .write(transaction(options), move |connection| {
                let (mutations, clock) = (Arc::clone(&mutations), clock.clone());
                let responses = responses.clone();
                Box::pin(async move {
                    lock(connection, &mutations).await?;
                    // Read the clock after the wait for the lock.
                    let now = clock.now();
                    idempotency::once(connection, &responses, request, async |connection| {
                        mutate(connection, &mutations, now).await
                    })
                    .await
                })
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
            .write(Transaction::Write, move |connection| {
                Box::pin(purge(connection, filter))
            })
            .await
    }

    async fn prune_idempotency_records(&self) -> Result<bool, Error> {
        let now = self.clock.now();
        let more = self
            .database
            .write(Transaction::Write, move |connection| {
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
