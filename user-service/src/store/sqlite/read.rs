//! Queries for users.
//!
//! Lists use keyset pagination, never offsets: users that are created or deleted between two
//! pages shift no page.

use chassis::database::sqlite::ReadSource;
use sqlx::SqliteConnection;

use super::row::{Row, role, select_users};
use crate::{
    error::Error,
    store::{Cursor, ListQuery, Page},
    user::{Field, PurgeFilter, Role, User, UserId},
};

/// A text greater than every nickname and email address, which cannot have this code point.
const MAX_SORT_KEY: &str = "\u{10FFFF}";

/// The maximum number of ids in the preview of a purge.
const PURGE_SAMPLE_SIZE: i64 = 100;

/// Converts the rows that [`page`] has read to a page.
pub(super) fn page_of(
    mut rows: Vec<Row>,
    query: &ListQuery,
    total: Option<i64>,
) -> Result<Page, Error> {
    let more = query.size.truncate(&mut rows);
    let next = rows
        .last()
        .filter(|_| more)
        .map(|last| cursor(last, query.order.sort_key().0));
    let users = rows
        .into_iter()
        .map(User::try_from)
        .collect::<Result<_, _>>()?;
    Ok(Page { users, next, total })
}

/// Returns the end of a page whose last user is `row`.
fn cursor(row: &Row, field: Field) -> Cursor {
    match field {
        // The order by creation time is the order by id.
        Field::Id | Field::CreateTime => Cursor::Id(row.id),
        Field::Nickname | Field::Email => Cursor::Text(row.sort_key.clone()),
    }
}

/// Returns the row of a user.
pub(super) async fn find(
    mut source: ReadSource<'_>,
    id: UserId,
) -> Result<Option<Row>, sqlx::Error> {
    let id = id.get();
    let rows = select_users!(&mut source, "users where id = ?1", id)?;
    Ok(rows.into_iter().next())
}

/// Returns the rows of a page, and one more row if another page follows. Each order has an index,
/// and a partial index for administrators, who are few among many users.
pub(super) async fn page(
    mut source: ReadSource<'_>,
    query: &ListQuery,
) -> Result<Vec<Row>, sqlx::Error> {
    let source = &mut source;
    let (field, descending) = query.order.sort_key();
    let limit = query.size.limit();
    let role = query.role.map(role);
    let admins = query.role == Some(Role::Admin);
    let (id, text) = match &query.after {
        Some(Cursor::Id(id)) => (*id, ""),
        Some(Cursor::Text(text)) => (0, text.as_str()),
        // The first page starts before all keys.
        None if descending => (i64::MAX, MAX_SORT_KEY),
        None => (0, ""),
    };
    macro_rules! page {
        ($after:expr, $sort_key:tt, $others:tt, $admins:tt) => {
            if admins {
                select_users!(source, sort_key: $sort_key, $admins, $after, limit)
            } else {
                select_users!(source, sort_key: $sort_key, $others, $after, role, limit)
            }
        };
    }
    match (field, descending) {
        (Field::Id | Field::CreateTime, false) => page!(
            id,
            "''",
            "users where id > ?1 and (?2 is null or role = ?2) order by id limit ?3",
            "users where id > ?1 and role = 1 order by id limit ?2"
        ),
        (Field::Id | Field::CreateTime, true) => page!(
            id,
            "''",
            "users where id < ?1 and (?2 is null or role = ?2) order by id desc limit ?3",
            "users where id < ?1 and role = 1 order by id desc limit ?2"
        ),
        (Field::Nickname, false) => page!(
            text,
            "nickname_key",
            "users where nickname_key > ?1 and (?2 is null or role = ?2)
            order by nickname_key limit ?3",
            "users where nickname_key > ?1 and role = 1 order by nickname_key limit ?2"
        ),
        (Field::Nickname, true) => page!(
            text,
            "nickname_key",
            "users where nickname_key < ?1 and (?2 is null or role = ?2)
            order by nickname_key desc limit ?3",
            "users where nickname_key < ?1 and role = 1 order by nickname_key desc limit ?2"
        ),
        (Field::Email, false) => page!(
            text,
            "email_key",
            "users where email_key > ?1 and (?2 is null or role = ?2)
            order by email_key limit ?3",
            "users where email_key > ?1 and role = 1 order by email_key limit ?2"
        ),
        (Field::Email, true) => page!(
            text,
            "email_key",
            "users where email_key < ?1 and (?2 is null or role = ?2)
            order by email_key desc limit ?3",
            "users where email_key < ?1 and role = 1 order by email_key desc limit ?2"
        ),
    }
}

pub(super) async fn count(
    connection: &mut SqliteConnection,
    filter: PurgeFilter,
) -> Result<i64, sqlx::Error> {
    match filter {
        PurgeFilter::All => sqlx::query_scalar!(r#"select count(*) as "count!: i64" from users"#),
        PurgeFilter::Role(Role::User) => {
            sqlx::query_scalar!(r#"select count(*) as "count!: i64" from users where role = 0"#)
        }
        PurgeFilter::Role(Role::Admin) => {
            sqlx::query_scalar!(r#"select count(*) as "count!: i64" from users where role = 1"#)
        }
    }
    .fetch_one(connection)
    .await
}

pub(super) async fn sample(
    connection: &mut SqliteConnection,
    filter: PurgeFilter,
) -> Result<Vec<i64>, sqlx::Error> {
    match filter {
        PurgeFilter::All => {
            sqlx::query_scalar!(
                r#"select id as "id!" from users order by id limit ?1"#,
                PURGE_SAMPLE_SIZE
            )
            .fetch_all(connection)
            .await
        }
        PurgeFilter::Role(Role::User) => {
            sqlx::query_scalar!(
                r#"select id as "id!" from users where role = 0 order by id limit ?1"#,
                PURGE_SAMPLE_SIZE
            )
            .fetch_all(connection)
            .await
        }
        PurgeFilter::Role(Role::Admin) => {
            sqlx::query_scalar!(
                r#"select id as "id!" from users where role = 1 order by id limit ?1"#,
                PURGE_SAMPLE_SIZE
            )
            .fetch_all(connection)
            .await
        }
    }
}
