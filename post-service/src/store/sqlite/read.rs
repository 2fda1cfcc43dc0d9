//! Queries for posts.
//!
//! Lists use keyset pagination, never offsets: posts that are created or deleted between two
//! pages shift no page.

use chassis::database::sqlite::ReadSource;
use sqlx::SqliteConnection;

use super::row::{Row, select_posts};
use crate::{
    error::Error,
    post::{AuthorId, Order, Post, PostId, PurgeFilter},
    store::{ListQuery, Page},
};

/// The maximum number of ids in the preview of a purge.
const PURGE_SAMPLE_SIZE: i64 = 100;

/// The maximum number of posts that one read for the feed returns.
pub(super) const FEED_READ_LIMIT: usize = 200;

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
    mut source: ReadSource<'_>,
    id: PostId,
) -> Result<Option<Row>, sqlx::Error> {
    let id = id.get();
    let rows = select_posts!(&mut source, "where id = ?1", id)?;
    Ok(rows.into_iter().next())
}

/// Returns the rows of a page, and one more row if another page follows.
pub(super) async fn page(
    mut source: ReadSource<'_>,
    query: &ListQuery,
) -> Result<Vec<Row>, sqlx::Error> {
    let source = &mut source;
    let limit = query.size.limit();
    let after = query.after.unwrap_or(match query.order {
        Order::NewestFirst => i64::MAX,
        Order::OldestFirst => 0,
    });
    match (query.order, query.author_id.map(AuthorId::get)) {
        (Order::NewestFirst, None) => select_posts!(
            source,
            "where id < ?1 order by id desc limit ?2",
            after,
            limit
        ),
        (Order::OldestFirst, None) => {
            select_posts!(source, "where id > ?1 order by id limit ?2", after, limit)
        }
        (Order::NewestFirst, Some(author_id)) => select_posts!(
            source,
            "where user_id = ?1 and id < ?2 order by id desc limit ?3",
            author_id,
            after,
            limit
        ),
        (Order::OldestFirst, Some(author_id)) => select_posts!(
            source,
            "where user_id = ?1 and id > ?2 order by id limit ?3",
            author_id,
            after,
            limit
        ),
    }
}

pub(super) async fn max_id(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(r#"select coalesce(max(id), 0) as "newest!: i64" from posts"#)
        .fetch_one(connection)
        .await
}

pub(super) async fn count(
    connection: &mut SqliteConnection,
    filter: PurgeFilter,
) -> Result<i64, sqlx::Error> {
    match filter {
        PurgeFilter::All => {
            sqlx::query_scalar!(r#"select count(*) as "count!: i64" from posts"#)
                .fetch_one(connection)
                .await
        }
        PurgeFilter::Author(author_id) => {
            let author_id = author_id.get();
            sqlx::query_scalar!(
                r#"select count(*) as "count!: i64" from posts where user_id = ?1"#,
                author_id
            )
            .fetch_one(connection)
            .await
        }
    }
}

pub(super) async fn sample(
    connection: &mut SqliteConnection,
    filter: PurgeFilter,
) -> Result<Vec<i64>, sqlx::Error> {
    match filter {
        PurgeFilter::All => {
            sqlx::query_scalar!(
                r#"select id as "id!" from posts order by id limit ?1"#,
                PURGE_SAMPLE_SIZE
            )
            .fetch_all(connection)
            .await
        }
        PurgeFilter::Author(author_id) => {
            let author_id = author_id.get();
            sqlx::query_scalar!(
                r#"select id as "id!" from posts where user_id = ?1 order by id limit ?2"#,
                author_id,
                PURGE_SAMPLE_SIZE
            )
            .fetch_all(connection)
            .await
        }
    }
}
