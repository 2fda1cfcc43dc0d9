//! Changing posts.

use chassis::{
    database::{Scope, Stop, sqlite::Source},
    idempotency::{Request, Write},
    serving::etag::match_etag,
};
use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;

use super::{
    Store,
    create::{Creation, Drafts, create_one, insert_sequence},
    read, requests,
};
use crate::{
    error::Error,
    post::{Change, Deletion, Mutation, NewPost, Post, Selection},
};

/// A change that may have an id, so that its repeat is answered as it was.
#[derive(Debug)]
pub struct Once<T> {
    payload: T,
    write: Write,
    request: Option<Request>,
    now: DateTime<Utc>,
}

impl Store {
    /// A post to create, as one request.
    ///
    /// # Errors
    ///
    /// If the request has no fingerprint.
    pub fn creation(&self, draft: NewPost, write: Write) -> Result<Once<NewPost>, Error> {
        self.once("CreatePost", draft, write)
    }

    /// Changes to make together, as one request.
    ///
    /// # Errors
    ///
    /// If the request has no fingerprint.
    pub fn commitment(
        &self,
        mutations: Vec<Mutation>,
        write: Write,
    ) -> Result<Once<Vec<Mutation>>, Error> {
        self.once("CommitPosts", mutations, write)
    }

    fn once<T: serde::Serialize>(
        &self,
        method: &str,
        payload: T,
        write: Write,
    ) -> Result<Once<T>, Error> {
        let now = self.clock.now();
        let request = Request::of(write, method, &payload, now)
            .map_err(|error| requests::unreadable(&error))?;
        Ok(Once {
            payload,
            write,
            request,
            now,
        })
    }

    /// Whether the request was answered before, so that doing it will only repeat that.
    ///
    /// # Errors
    ///
    /// [`Error::RequestIdReused`].
    pub async fn is_repeat<T>(&self, once: &Once<T>) -> Result<bool, Error> {
        let Some(request) = once.request else {
            return Ok(false);
        };
        requests::is_answered(self.database.source(1), request).await
    }

    /// Creates a post. One that is only tried has the id 0.
    ///
    /// # Errors
    ///
    /// [`Error::AuthorNotFound`] and [`Error::RequestIdReused`].
    pub async fn create(&self, once: Once<NewPost>) -> Result<Post, Error> {
        let creation = Creation {
            drafts: Drafts::Single(once.payload),
            request: once.request,
            scope: once.write.scope(Scope::Statement),
        };
        if !once.write.validate_only {
            return single(self.creations.write(creation).await?);
        }
        let posts = self.database.write(creation.scope, move |connection| {
            Box::pin(async move { create_one(connection, &creation, once.now).await })
        });
        Ok(Post {
            id: 0,
            ..single(posts.await?)?
        })
    }

    /// Changes a post, which is returned as stored. A change to what it already says
    /// leaves the row, its times and its etag alone.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] and [`Error::EtagMismatch`].
    pub async fn update(&self, change: Change, validate_only: bool) -> Result<Post, Error> {
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

    /// Deletes a post.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] and [`Error::EtagMismatch`].
    pub async fn delete(&self, deletion: Deletion) -> Result<(), Error> {
        self.database
            .write(Scope::Statement, move |connection| {
                Box::pin(delete(connection, deletion))
            })
            .await
    }

    /// Makes all changes, each of which sees those before it, or none. The posts are
    /// returned as stored by each, and none for a deletion.
    ///
    /// # Errors
    ///
    /// [`Error::Mutation`] for the first one that fails, [`Error::RequestIdReused`].
    pub async fn commit(&self, once: Once<Vec<Mutation>>) -> Result<Vec<Option<Post>>, Error> {
        let Once {
            payload: mutations,
            write,
            request,
            now,
        } = once;
        let scope = write.scope(Scope::Savepoint);
        if !write.validate_only
            && let Some(drafts) = only_creations(&mutations)
        {
            let creation = Creation {
                drafts: Drafts::List(drafts),
                request,
                scope,
            };
            let posts = self.creations.write(creation).await?;
            return Ok(posts.into_iter().map(Some).collect());
        }
        let created: Vec<_> = mutations.iter().map(Mutation::creates).collect();
        let mut posts: Vec<Option<Post>> = self
            .database
            .write(scope, move |connection| {
                Box::pin(requests::once(
                    connection,
                    request,
                    async move |connection| mutate(connection, mutations, now).await,
                ))
            })
            .await?;
        if write.validate_only {
            for (post, created) in posts.iter_mut().zip(created) {
                if let (Some(post), true) = (post, created) {
                    post.id = 0;
                }
            }
        }
        Ok(posts)
    }

    /// Deletes the posts of a selection, and says how many.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn purge(&self, selection: Selection) -> Result<i64, Error> {
        self.database
            .write(Scope::Statement, move |connection| {
                Box::pin(purge(connection, selection))
            })
            .await
    }
}

impl<T> Once<T> {
    /// What is asked for.
    pub fn payload(&self) -> &T {
        &self.payload
    }
}

/// Returns the post of a creation of one.
fn single(posts: Vec<Post>) -> Result<Post, Error> {
    let corrupt = || Error::Corrupt("a creation of one post has none".into());
    posts.into_iter().next().ok_or_else(corrupt)
}

/// The posts that the changes create, if they do nothing else.
fn only_creations(mutations: &[Mutation]) -> Option<Vec<NewPost>> {
    let creation = |mutation: &Mutation| match mutation {
        Mutation::Create(draft) => Some(draft.clone()),
        Mutation::Update(_) | Mutation::Delete(_) => None,
    };
    mutations.iter().map(creation).collect()
}

/// Makes the changes in their order, up to the first that is refused. What is created one
/// after the other is created together.
async fn mutate(
    connection: &mut SqliteConnection,
    mutations: Vec<Mutation>,
    now: DateTime<Utc>,
) -> Result<Vec<Option<Post>>, Stop<Error>> {
    let mut posts = Vec::with_capacity(mutations.len());
    let mut mutations = mutations.into_iter().peekable();
    while let Some(mutation) = mutations.next() {
        let at = |stop: Stop<Error>| stop.map_refusal(|error| error.at(posts.len()));
        match mutation {
            Mutation::Create(draft) => {
                let mut drafts = vec![draft];
                while let Some(next) = mutations.next_if(Mutation::creates) {
                    if let Mutation::Create(draft) = next {
                        drafts.push(draft);
                    }
                }
                let created = insert_sequence(connection, &drafts, now, posts.len()).await?;
                posts.extend(created.into_iter().map(Some));
            }
            Mutation::Update(change) => {
                posts.push(Some(update(connection, change, now).await.map_err(at)?));
            }
            Mutation::Delete(deletion) => {
                delete(connection, deletion).await.map_err(at)?;
                posts.push(None);
            }
        }
    }
    Ok(posts)
}

/// Writes what a post says from now on, if that is something else.
async fn update(
    connection: &mut SqliteConnection,
    change: Change,
    now: DateTime<Utc>,
) -> Result<Post, Stop<Error>> {
    let row = read::find(Source::Connection(connection), change.id)
        .await?
        .ok_or(Error::NotFound(change.id.get()))?;
    let mut post = Post::try_from(row)?;
    match_etag(post.id, post.etag(), change.etag.as_ref()).map_err(Error::EtagMismatch)?;
    if change.body.as_str() == &*post.body {
        return Ok(post);
    }

    post.body = change.body.shared();
    // Never earlier than the change before, even if the clock was put back.
    post.update_time = now.max(post.update_time);
    post.revision += 1;
    let (body, update_time) = (&*post.body, post.update_time.timestamp_micros());
    sqlx::query!(
        "update posts set body = ?2, update_time = ?3, revision = ?4 where id = ?1",
        post.id,
        body,
        update_time,
        post.revision
    )
    .execute(connection)
    .await?;
    Ok(post)
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
    let post = Post::try_from(row)?;
    match_etag(id, post.etag(), deletion.etag.as_ref()).map_err(Error::EtagMismatch)?;
    sqlx::query!("delete from posts where id = ?1", id)
        .execute(connection)
        .await?;
    Ok(())
}

async fn purge(
    connection: &mut SqliteConnection,
    selection: Selection,
) -> Result<i64, Stop<Error>> {
    let done = match selection {
        Selection::All => sqlx::query!("delete from posts").execute(connection).await,
        Selection::Author(author) => {
            let author = author.get();
            sqlx::query!("delete from posts where user_id = ?1", author)
                .execute(connection)
                .await
        }
    }?;
    Ok(i64::try_from(done.rows_affected()).unwrap_or(i64::MAX))
}
