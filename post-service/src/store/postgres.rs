//! The store of posts in PostgreSQL, with the SQL of the post service for this engine.
//!
//! It writes the tables `posts`, `post_head` and `post_requests`. A creation updates the only row of
//! `post_head`, which gives out the ids: its lock makes ids visible in their order. Every other write
//! locks the rows that it names in the order of their ids, so that no two writes wait for each other.

mod create;
mod idempotency;
mod read;
mod row;
mod write;

use std::{sync::Arc, time::Duration};

use chassis::{
    database::{
        WriteError,
        postgres::{Batcher, Database, Transaction},
    },
    idempotency::WriteOptions,
    process::clock::Clock,
    serving::pagination::PageSize,
};

use self::{
    create::{Creation, Drafts, create_one, lock_head},
    read::{count, find, max_id, page, page_of, sample},
    write::{delete, lock, mutate, purge},
};
use super::{
    FEED_READ_LIMIT, IdempotentWrite, ListQuery, Page, PostStore, PostsSince, as_creates, single,
};
use crate::{
    error::Error,
    post::{
        AuthorId, Mutation, NewPost, Order, Post, PostDeletion, PostId, PostUpdate, PurgeFilter,
    },
};

/// The longest interval between two reads of the feed. SQLite tells cheaply that nothing has
/// changed; here a read of one row does, and other replicas write all the time.
const MAX_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A store of posts in one PostgreSQL database.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    database: Database,
    clock: Clock,
    creations: Batcher<Creation, Vec<Post>, Error>,
    poll_interval: Duration,
}

impl PostgresStore {
    /// Returns a store of the posts in `database`. `clock` provides creation and update times. The
    /// feed polls the store every `poll_interval`, and at least every 50 ms.
    #[must_use]
    pub fn new(database: Database, clock: Clock, poll_interval: Duration) -> Self {
        Self {
            creations: database.batcher(create::BATCH_OPS, clock.clone()),
            database,
            clock,
            poll_interval: poll_interval.min(MAX_POLL_INTERVAL),
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

impl PostStore for PostgresStore {
    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn poll_interval(&self) -> Duration {
        self.poll_interval
    }

    async fn get(&self, id: PostId) -> Result<Post, Error> {
        let read = self.database.read::<_, Error>(move |connection| {
            Box::pin(async move { Ok(find(connection, id).await?) })
        });
        read.await?.ok_or(Error::NotFound(id.get()))?.try_into()
    }

    async fn list(&self, query: &ListQuery) -> Result<Arc<Page>, Error> {
        let asked = Arc::new(query.clone());
        if !query.count {
            let read = self.database.read::<_, Error>(move |connection| {
                let query = Arc::clone(&asked);
                Box::pin(async move { Ok(page(connection, &query).await?) })
            });
            return page_of(read.await?, query, None).map(Arc::new);
        }
        let filter = query
            .author_id
            .map_or(PurgeFilter::All, PurgeFilter::Author);
        let read = self.database.snapshot::<_, Error>(move |connection| {
            let query = Arc::clone(&asked);
            Box::pin(async move {
                let rows = page(connection, &query).await?;
                Ok((rows, count(connection, filter).await?))
            })
        });
        let (rows, total) = read.await?;
        page_of(rows, query, Some(total)).map(Arc::new)
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

    async fn max_id(&self) -> Result<i64, Error> {
        let read = self
            .database
            .read(move |connection| Box::pin(async move { Ok(max_id(connection).await?) }));
        read.await
    }

    async fn posts_since(
        &self,
        after: i64,
        author_id: Option<AuthorId>,
    ) -> Result<PostsSince, Error> {
        let query = ListQuery {
            order: Order::OldestFirst,
            author_id,
            size: PageSize::clamped(FEED_READ_LIMIT),
            after: Some(after),
            count: false,
        };
        let asked = Arc::new(query.clone());
        let read = self.database.read::<_, Error>(move |connection| {
            let query = Arc::clone(&asked);
            Box::pin(async move {
                // Ids become visible in their order, so a later read has all posts up to this id.
                let max_id = max_id(connection).await?;
                if max_id == after {
                    return Ok((max_id, Vec::new()));
                }
                Ok((max_id, page(connection, &query).await?))
            })
        });
        let (max_id, rows) = read.await?;
        let page = page_of(rows, &query, None)?;
        let newest = page.posts.last().map_or(max_id, |post| post.id.max(max_id));
        Ok(PostsSince {
            until: page.next.unwrap_or(newest),
            more: page.next.is_some(),
            posts: page.posts,
        })
    }

    async fn is_replay<T: Sync>(&self, write: &IdempotentWrite<T>) -> Result<bool, Error> {
        let Some(request) = write.request else {
            return Ok(false);
        };
        let read = self
            .database
            .read(move |connection| Box::pin(idempotency::is_recorded(connection, request)));
        read.await
    }

    async fn create(&self, write: IdempotentWrite<NewPost>) -> Result<Post, Error> {
        let creation = Creation {
            drafts: Drafts::Single(write.payload),
            request: write.request,
            responses: self.database.stored_responses(),
        };
        if !write.options.validate_only {
            return single(self.creations.write(creation).await?);
        }
        let (creation, clock) = (Arc::new(creation), self.clock.clone());
        let posts = self
            .database
            .write(transaction(write.options), move |connection| {
                let (creation, clock) = (Arc::clone(&creation), clock.clone());
                Box::pin(async move {
                    lock_head(connection).await?;
                    create_one(connection, &creation, clock.now()).await
                })
            });
        Ok(Post {
            id: 0,
            ..single(posts.await?)?
        })
    }

    async fn update(&self, update: PostUpdate, validate_only: bool) -> Result<Post, Error> {
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

    async fn delete(&self, deletion: PostDeletion) -> Result<(), Error> {
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
        write: IdempotentWrite<Vec<Mutation>>,
    ) -> Result<Vec<Option<Post>>, Error> {
        let IdempotentWrite {
            payload: mutations,
            options,
            request,
        } = write;
        if !options.validate_only
            && let Some(drafts) = as_creates(&mutations)
        {
            let creation = Creation {
                drafts: Drafts::List(drafts),
                request,
                responses: self.database.stored_responses(),
            };
            let posts = self.creations.write(creation).await?;
            return Ok(posts.into_iter().map(Some).collect());
        }
        let clock = self.clock.clone();
        let created: Vec<_> = mutations.iter().map(Mutation::creates).collect();
        let mutations = Arc::new(mutations);
        let responses = self.database.stored_responses();
        let mut posts: Vec<Option<Post>> = self
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
            for (post, created) in posts.iter_mut().zip(created) {
                if let (Some(post), true) = (post, created) {
                    post.id = 0;
                }
            }
        }
        Ok(posts)
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
