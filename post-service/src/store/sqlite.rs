//! The store of posts in SQLite, with all SQL of the post service.
//!
//! It writes the tables `posts` and `post_requests`. It does not know how posts are sent or how
//! their authors are resolved.

mod create;
mod first_page_cache;
mod idempotency;
mod read;
mod row;
mod write;

use std::{sync::Arc, time::Duration};

use chassis::{
    database::{
        AccessPolicy, Atomicity, Requirements, WriteError,
        sqlite::{Batcher, Database, ReadSource},
    },
    idempotency::WriteOptions,
    process::clock::Clock,
    serving::pagination::PageSize,
};
use include_dir::{Dir, include_dir};

use self::{
    create::{Creation, Drafts, create_one},
    first_page_cache::FirstPageCache,
    read::{FEED_READ_LIMIT, count, find, max_id, page, page_of, sample},
    write::{as_creates, delete, mutate, purge, single},
};
use super::{IdempotentWrite, ListQuery, Page, PostStore, PostsSince};
use crate::{
    error::Error,
    post::{
        AuthorId, Mutation, NewPost, Order, Post, PostDeletion, PostId, PostUpdate, PurgeFilter,
    },
};

/// All statements of this module tree, as recorded by `cargo sqlx prepare`.
static QUERIES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/.sqlx");

/// The requirements of the service on the database.
pub static REQUIREMENTS: Requirements = Requirements {
    access: &AccessPolicy {
        owned_tables: &["posts", "post_requests"],
        // The foreign key reads it when a post is created.
        readable_columns: &[("users", "id")],
    },
    min_schema_version: 2,
    statements: || {
        QUERIES
            .files()
            .filter_map(include_dir::File::contents_utf8)
            .collect()
    },
};

/// A store of posts in one SQLite file.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    database: Database,
    clock: Clock,
    first_pages: FirstPageCache,
    creations: Batcher<Creation, Vec<Post>, Error>,
    poll_interval: Duration,
}

impl SqliteStore {
    /// Returns a store of the posts in `database` that caches up to `list_cache_capacity` first
    /// pages. `clock` provides creation and update times. Other processes do not announce their
    /// commits, so the feed polls the store every `poll_interval`.
    #[must_use]
    pub fn new(
        database: Database,
        clock: Clock,
        list_cache_capacity: usize,
        poll_interval: Duration,
    ) -> Self {
        Self {
            creations: database.batcher(create::BATCH_OPS, clock.clone()),
            database,
            clock,
            first_pages: FirstPageCache::new(list_cache_capacity),
            poll_interval,
        }
    }
}

impl PostStore for SqliteStore {
    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn poll_interval(&self) -> Duration {
        self.poll_interval
    }

    async fn get(&self, id: PostId) -> Result<Post, Error> {
        find(self.database.read_source(1), id)
            .await?
            .ok_or(Error::NotFound(id.get()))?
            .try_into()
    }

    async fn list(&self, query: &ListQuery) -> Result<Arc<Page>, Error> {
        if query.count {
            return self.list_and_count(query).await.map(Arc::new);
        }
        let source = self.database.read_source(query.size.rows());
        let cacheable = self.first_pages.is_cacheable(query);
        let version = cacheable.then(|| source.data_version()).flatten();
        if let Some(page) = version.and_then(|version| self.first_pages.get(query, version)) {
            return Ok(page);
        }
        let page = Arc::new(page_of(page(source, query).await?, query, None)?);
        if let Some(version) = version {
            self.first_pages.insert(query, version, &page);
        }
        Ok(page)
    }

    async fn preview_purge(&self, filter: PurgeFilter) -> Result<(i64, Vec<i64>), Error> {
        let read = self.database.snapshot(async |connection| {
            let count = count(connection, filter).await?;
            Ok((count, sample(connection, filter).await?))
        });
        Ok(read.await?)
    }

    async fn max_id(&self) -> Result<i64, Error> {
        let mut reader = self.database.reader().await?;
        Ok(max_id(&mut reader).await?)
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
        // SQLite assigns ids in commit order, so a snapshot with one id has all lower ids.
        let read = self.database.snapshot(async |connection| {
            let rows = page(ReadSource::Transaction(&mut *connection), &query).await?;
            Ok((rows, max_id(connection).await?))
        });
        let (rows, max_id) = read.await?;
        let page = page_of(rows, &query, None)?;
        Ok(PostsSince {
            until: page.next.unwrap_or(max_id),
            more: page.next.is_some(),
            posts: page.posts,
        })
    }

    async fn is_replay<T: Sync>(&self, write: &IdempotentWrite<T>) -> Result<bool, Error> {
        let Some(request) = write.request else {
            return Ok(false);
        };
        idempotency::is_recorded(self.database.read_source(1), request).await
    }

    async fn create(&self, write: IdempotentWrite<NewPost>) -> Result<Post, Error> {
        let creation = Creation {
            drafts: Drafts::Single(write.payload),
            request: write.request,
            responses: self.database.stored_responses(),
            atomicity: write.options.atomicity(Atomicity::SingleStatement),
        };
        if !write.options.validate_only {
            return single(self.creations.write(creation).await?);
        }
        let clock = self.clock.clone();
        let posts = self.database.write(creation.atomicity, move |connection| {
            Box::pin(async move { create_one(connection, &creation, clock.now()).await })
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
        let now = self.clock.now();
        self.database
            .write(
                options.atomicity(Atomicity::SingleStatement),
                move |connection| Box::pin(write::update(connection, update, now)),
            )
            .await
    }

    async fn delete(&self, deletion: PostDeletion) -> Result<(), Error> {
        self.database
            .write(Atomicity::SingleStatement, move |connection| {
                Box::pin(delete(connection, deletion))
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
        let atomicity = options.atomicity(Atomicity::Savepoint);
        let responses = self.database.stored_responses();
        if !options.validate_only
            && let Some(drafts) = as_creates(&mutations)
        {
            let creation = Creation {
                drafts: Drafts::List(drafts),
                request,
                responses,
                atomicity,
            };
            let posts = self.creations.write(creation).await?;
            return Ok(posts.into_iter().map(Some).collect());
        }
        let clock = self.clock.clone();
        let created: Vec<_> = mutations.iter().map(Mutation::creates).collect();
        let mut posts: Vec<Option<Post>> = self
            .database
            .write(atomicity, move |connection| {
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

impl SqliteStore {
    async fn list_and_count(&self, query: &ListQuery) -> Result<Page, Error> {
        let filter = query
            .author_id
            .map_or(PurgeFilter::All, PurgeFilter::Author);
        let read = self.database.snapshot(async |connection| {
            let rows = page(ReadSource::Transaction(&mut *connection), query).await?;
            Ok((rows, count(connection, filter).await?))
        });
        let (rows, total) = read.await?;
        page_of(rows, query, Some(total))
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
