//! Changing posts.

use chassis::{
    database::{Scope, Stop},
    etag::Etag,
    idempotency::{Request, Write},
};
use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;

use super::{Store, read, requests, row::time};
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
        if once.request.is_none() {
            return Ok(false);
        }
        let mut reader = self.database.reader().await?;
        match requests::answer::<serde_json::Value>(&mut reader, once.request).await {
            Ok(answer) => Ok(answer.is_some()),
            Err(Stop::Refused(error)) => Err(error),
            Err(Stop::Engine(error)) => Err(error.into()),
        }
    }

    /// Creates a post. One that is only tried has the id 0.
    ///
    /// # Errors
    ///
    /// [`Error::AuthorNotFound`] and [`Error::RequestIdReused`].
    pub async fn create(&self, once: Once<NewPost>) -> Result<Post, Error> {
        let Once {
            payload: draft,
            write,
            request,
            now,
        } = once;
        let mut post: Post = self
            .database
            .write(write.scope(Scope::Statement), move |connection| {
                Box::pin(async move {
                    if let Some(post) = requests::answer(connection, request).await? {
                        return Ok(post);
                    }
                    let post = insert(connection, draft, now).await?;
                    requests::keep(connection, request, &post).await?;
                    Ok::<_, Stop<Error>>(post)
                })
            })
            .await?;
        if write.validate_only {
            post.id = 0;
        }
        Ok(post)
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
        let created: Vec<_> = mutations
            .iter()
            .map(|mutation| matches!(mutation, Mutation::Create(_)))
            .collect();
        let mut posts: Vec<Option<Post>> = self
            .database
            .write(write.scope(Scope::Savepoint), move |connection| {
                Box::pin(async move {
                    if let Some(posts) = requests::answer(connection, request).await? {
                        return Ok(posts);
                    }
                    let mut posts = Vec::with_capacity(mutations.len());
                    for (index, mutation) in mutations.into_iter().enumerate() {
                        let post = mutate(connection, mutation, now).await;
                        posts.push(post.map_err(|stop| stop.map_refusal(|error| error.at(index)))?);
                    }
                    requests::keep(connection, request, &posts).await?;
                    Ok::<_, Stop<Error>>(posts)
                })
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

async fn mutate(
    connection: &mut SqliteConnection,
    mutation: Mutation,
    now: DateTime<Utc>,
) -> Result<Option<Post>, Stop<Error>> {
    match mutation {
        Mutation::Create(draft) => insert(connection, draft, now).await.map(Some),
        Mutation::Update(change) => update(connection, change, now).await.map(Some),
        Mutation::Delete(deletion) => delete(connection, deletion).await.map(|()| None),
    }
}

/// Writes a new post, whose creation time is not earlier than that of any before, even if
/// the clock was put back.
async fn insert(
    connection: &mut SqliteConnection,
    draft: NewPost,
    now: DateTime<Utc>,
) -> Result<Post, Stop<Error>> {
    let NewPost { body, author } = draft;
    let (text, user_id, now) = (body.as_str(), author.get(), now.timestamp_micros());
    let inserted = sqlx::query!(
        r#"insert into posts (body, create_time, update_time, revision, user_id)
        select ?1, created.time, created.time, 1, ?3
        from (
            select max(
                ?2,
                coalesce((select create_time from posts order by id desc limit 1), ?2)
            ) as time
        ) as created
        returning id as "id!", create_time as "create_time!""#,
        text,
        now,
        user_id
    )
    .fetch_one(connection)
    .await
    .map_err(|error| match error.as_database_error() {
        Some(cause) if cause.is_foreign_key_violation() => Error::AuthorNotFound(author).into(),
        _ => Stop::Engine(error),
    })?;
    let create_time = time(inserted.create_time)?;
    Ok(Post {
        id: inserted.id,
        body: body.into_string(),
        create_time,
        update_time: create_time,
        revision: 1,
        author,
    })
}

/// Writes what a post says from now on, if that is something else.
async fn update(
    connection: &mut SqliteConnection,
    change: Change,
    now: DateTime<Utc>,
) -> Result<Post, Stop<Error>> {
    let row = read::find(connection, change.id)
        .await?
        .ok_or(Error::NotFound(change.id.get()))?;
    let mut post = Post::try_from(row)?;
    match_etag(&post, change.etag.as_ref())?;
    if change.body.as_str() == post.body {
        return Ok(post);
    }

    post.body = change.body.into_string();
    // Never earlier than the change before, even if the clock was put back.
    post.update_time = now.max(post.update_time);
    post.revision += 1;
    let update_time = post.update_time.timestamp_micros();
    sqlx::query!(
        "update posts set body = ?2, update_time = ?3, revision = ?4 where id = ?1",
        post.id,
        post.body,
        update_time,
        post.revision
    )
    .execute(connection)
    .await?;
    Ok(post)
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

fn match_etag(post: &Post, etag: Option<&Etag>) -> Result<(), Error> {
    let current = post.etag();
    match etag {
        Some(etag) if *etag != current => Err(Error::EtagMismatch {
            id: post.id,
            etag: current.into_string(),
        }),
        _ => Ok(()),
    }
}
