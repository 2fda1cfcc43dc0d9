//! Queries for posts.
//!
//! Lists use keyset pagination, never offsets: posts that are created or deleted between two
//! pages shift no page.

use sqlx::PgConnection;

use super::row::{Row, select_posts};
use crate::{
    error::Error,
    post::{AuthorId, Order, Post, PostId, PurgeFilter},
    store::{ListQuery, PURGE_SAMPLE_SIZE, Page},
};

/// Converts the rows that [`page`] has read to a page.
pub(super) fn page_of(
    mut rows: Vec<Row>,
    query: &ListQuery,
    total: Option<i64>,
) -> Result<Page, Error> {
    let more = query.size.truncate(&mut rows);
    let next = rows.last().filter(|_| more).map(|last| last.id);
    let posts = rows
        .into_iter()
        .map(Post::try_from)
        .collect::<Result<_, _>>()?;
    Ok(Page::new(posts, next, total))
}

/// Returns the row of a post.
pub(super) async fn find(
    connection: &mut PgConnection,
    id: PostId,
) -> Result<Option<Row>, sqlx::Error> {
    let post = select_posts!("where id = $1", id.get());
    post.fetch_optional(connection).await
}

/// Returns the row of a post, and locks it until the end of the transaction.
pub(super) async fn find_for_update(
    connection: &mut PgConnection,
    id: PostId,
) -> Result<Option<Row>, sqlx::Error> {
    let post = select_posts!("where id = $1 for update", id.get());
    post.fetch_optional(connection).await
}

/// Returns the rows of a page, and one more row if another page follows.
pub(super) async fn page(
    connection: &mut PgConnection,
    query: &ListQuery,
) -> Result<Vec<Row>, sqlx::Error> {
    let limit = query.size.limit();
    let after = query.after.unwrap_or(match query.order {
        Order::NewestFirst => i64::MAX,
        Order::OldestFirst => 0,
    });
    match (query.order, query.author_id.map(AuthorId::get)) {
        (Order::NewestFirst, None) => {
            let posts = select_posts!("where id < $1 order by id desc limit $2", after, limit);
            posts.fetch_all(connection).await
        }
        (Order::OldestFirst, None) => {
            let posts = select_posts!("where id > $1 order by id limit $2", after, limit);
            posts.fetch_all(connection).await
        }
        (Order::NewestFirst, Some(author_id)) => {
            let posts = select_posts!(
                "where user_id = $1 and id < $2 order by id desc limit $3",
                author_id,
                after,
                limit
            );
            posts.fetch_all(connection).await
        }
        (Order::OldestFirst, Some(author_id)) => {
            let posts = select_posts!(
                "where user_id = $1 and id > $2 order by id limit $3",
                author_id,
                after,
                limit
            );
            posts.fetch_all(connection).await
        }
    }
}

/// Returns the last id that was given out, also if its post was deleted.
pub(super) async fn max_id(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!("select id from post_head")
        .fetch_one(connection)
        .await
}

/// Returns the id of the author whose posts match `filter`, or `None` for all posts.
pub(super) fn author_of(filter: PurgeFilter) -> Option<i64> {
    match filter {
        PurgeFilter::All => None,
        PurgeFilter::Author(author_id) => Some(author_id.get()),
    }
}

pub(super) async fn count(
    connection: &mut PgConnection,
    filter: PurgeFilter,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from posts where ($1::bigint is null or user_id = $1)"#,
        author_of(filter)
    )
    .fetch_one(connection)
    .await
}

pub(super) async fn sample(
    connection: &mut PgConnection,
    filter: PurgeFilter,
) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        "select id from posts where ($1::bigint is null or user_id = $1) order by id limit $2",
        author_of(filter),
        PURGE_SAMPLE_SIZE
    )
    .fetch_all(connection)
    .await
}
