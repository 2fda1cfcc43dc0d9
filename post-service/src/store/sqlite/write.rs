//! Updates, deletions and commits of posts.

use chassis::{
    database::{WriteError, sqlite::ReadSource},
    serving::etag::match_etag,
};
use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;

use super::{create::insert_sequence, read};
use crate::{
    error::Error,
    post::{Mutation, NewPost, Post, PostDeletion, PostUpdate, PurgeFilter},
};

/// Returns the post of a creation of one post.
pub(super) fn single(posts: Vec<Post>) -> Result<Post, Error> {
    let corrupt = || Error::Corrupt("a creation of one post has none".into());
    posts.into_iter().next().ok_or_else(corrupt)
}

/// Returns the drafts of the mutations if all of them create posts.
pub(super) fn as_creates(mutations: &[Mutation]) -> Option<Vec<NewPost>> {
    let creation = |mutation: &Mutation| match mutation {
        Mutation::Create(draft) => Some(draft.clone()),
        Mutation::Update(_) | Mutation::Delete(_) => None,
    };
    mutations.iter().map(creation).collect()
}

/// Executes mutations in their order, up to the first that is rejected. Adjacent creations are
/// inserted by one statement.
pub(super) async fn mutate(
    connection: &mut SqliteConnection,
    mutations: Vec<Mutation>,
    now: DateTime<Utc>,
) -> Result<Vec<Option<Post>>, WriteError<Error>> {
    let mut posts = Vec::with_capacity(mutations.len());
    let mut mutations = mutations.into_iter().peekable();
    while let Some(mutation) = mutations.next() {
        let at =
            |failed: WriteError<Error>| failed.map_rejection(|error| error.at_index(posts.len()));
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
            Mutation::Update(update) => {
                posts.push(Some(
                    self::update(connection, update, now).await.map_err(at)?,
                ));
            }
            Mutation::Delete(deletion) => {
                delete(connection, deletion).await.map_err(at)?;
                posts.push(None);
            }
        }
    }
    Ok(posts)
}

/// Updates the body of a post, unless it is unchanged.
pub(super) async fn update(
    connection: &mut SqliteConnection,
    update: PostUpdate,
    now: DateTime<Utc>,
) -> Result<Post, WriteError<Error>> {
    let row = read::find(ReadSource::Transaction(connection), update.id)
        .await?
        .ok_or(Error::NotFound(update.id.get()))?;
    let mut post = Post::try_from(row)?;
    match_etag(post.id, post.etag(), update.etag.as_ref()).map_err(Error::EtagMismatch)?;
    if update.body.as_str() == &*post.body {
        return Ok(post);
    }

    post.body = update.body.shared();
    // The update time never falls, even if the clock was set back.
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

pub(super) async fn delete(
    connection: &mut SqliteConnection,
    deletion: PostDeletion,
) -> Result<(), WriteError<Error>> {
    let id = deletion.id.get();
    let Some(row) = read::find(ReadSource::Transaction(connection), deletion.id).await? else {
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

pub(super) async fn purge(
    connection: &mut SqliteConnection,
    filter: PurgeFilter,
) -> Result<i64, WriteError<Error>> {
    let done = match filter {
        PurgeFilter::All => sqlx::query!("delete from posts").execute(connection).await,
        PurgeFilter::Author(author_id) => {
            let author_id = author_id.get();
            sqlx::query!("delete from posts where user_id = ?1", author_id)
                .execute(connection)
                .await
        }
    }?;
    Ok(i64::try_from(done.rows_affected()).unwrap_or(i64::MAX))
}
