//! Updates, deletions and commits of posts.

use chassis::{database::WriteError, serving::etag::match_etag};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{
    create::{insert_sequence, lock_head},
    read,
};
use crate::{
    error::Error,
    post::{Mutation, Post, PostDeletion, PostUpdate, PurgeFilter},
};

/// Executes mutations in their order, up to the first that is rejected. Adjacent creations are
/// inserted by one statement.
pub(super) async fn mutate(
    connection: &mut PgConnection,
    mutations: &[Mutation],
    now: DateTime<Utc>,
) -> Result<Vec<Option<Post>>, WriteError<Error>> {
    let mut posts = Vec::with_capacity(mutations.len());
    while let Some(mutation) = mutations.get(posts.len()) {
        let at =
            |failed: WriteError<Error>| failed.map_rejection(|error| error.at_index(posts.len()));
        match mutation {
            Mutation::Create(_) => {
                let drafts = mutations[posts.len()..]
                    .iter()
                    .map_while(|mutation| match mutation {
                        Mutation::Create(draft) => Some(draft),
                        Mutation::Update(_) | Mutation::Delete(_) => None,
                    });
                let drafts: Vec<_> = drafts.collect();
                let created = insert_sequence(connection, &drafts, now, posts.len()).await?;
                posts.extend(created.into_iter().map(Some));
            }
            Mutation::Update(update) => {
                let post = self::update(connection, update, now).await.map_err(at)?;
                posts.push(Some(post));
            }
            Mutation::Delete(deletion) => {
                delete(connection, deletion).await.map_err(at)?;
                posts.push(None);
            }
        }
    }
    Ok(posts)
}

/// Locks the head, if a post is created, and then the rows that are changed, in the order of their
/// ids. Two commits that lock in different orders would wait for each other until one is aborted.
pub(super) async fn lock(
    connection: &mut PgConnection,
    mutations: &[Mutation],
) -> Result<(), sqlx::Error> {
    if mutations.iter().any(Mutation::creates) {
        lock_head(connection).await?;
    }
    let ids: Vec<_> = mutations
        .iter()
        .filter_map(|mutation| match mutation {
            Mutation::Create(_) => None,
            Mutation::Update(update) => Some(update.id.get()),
            Mutation::Delete(deletion) => Some(deletion.id.get()),
        })
        .collect();
    if !ids.is_empty() {
        sqlx::query_scalar!(
            "select id from posts where id = any($1) order by id for update",
            &ids
        )
        .fetch_all(connection)
        .await?;
    }
    Ok(())
}

/// Updates the body of a post, unless it is unchanged.
pub(super) async fn update(
    connection: &mut PgConnection,
    update: &PostUpdate,
    now: DateTime<Utc>,
) -> Result<Post, WriteError<Error>> {
    let row = read::find_for_update(connection, update.id)
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
    sqlx::query!(
        "update posts set body = $2, update_time = $3, revision = $4 where id = $1",
        post.id,
        &*post.body,
        post.update_time.timestamp_micros(),
        post.revision
    )
    .execute(connection)
    .await?;
    Ok(post)
}

pub(super) async fn delete(
    connection: &mut PgConnection,
    deletion: &PostDeletion,
) -> Result<(), WriteError<Error>> {
    let id = deletion.id.get();
    let Some(row) = read::find_for_update(connection, deletion.id).await? else {
        return if deletion.allow_missing {
            Ok(())
        } else {
            Err(Error::NotFound(id).into())
        };
    };
    let post = Post::try_from(row)?;
    match_etag(id, post.etag(), deletion.etag.as_ref()).map_err(Error::EtagMismatch)?;
    sqlx::query!("delete from posts where id = $1", id)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn purge(
    connection: &mut PgConnection,
    filter: PurgeFilter,
) -> Result<i64, WriteError<Error>> {
    let purged = sqlx::query!(
        "delete from posts where ($1::bigint is null or user_id = $1)",
        read::author_of(filter)
    )
    .execute(connection)
    .await?;
    Ok(i64::try_from(purged.rows_affected()).unwrap_or(i64::MAX))
}
