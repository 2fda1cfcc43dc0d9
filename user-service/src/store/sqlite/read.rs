//! Finding users. Every list is read by key, never by offset: a user who is created or
//! deleted meanwhile shifts no page.

use chassis::database::sqlite::ReadSource;
use sqlx::SqliteConnection;

use super::row::{Row, role, select_users};
use crate::{
    error::Error,
    store::{Cursor, ListQuery, Page},
    user::{Field, PurgeFilter, Role, User, UserId},
};

/// Beyond every nickname and address: a code point that none of them can have.
const MAX_SORT_KEY: &str = "\u{10FFFF}";

/// How many ids a preview of a purge names at most.
const PURGE_SAMPLE_SIZE: i64 = 100;

/// Makes a page of the rows that [`page`] has read.
pub(super) fn page_of(
    mut rows: Vec<Row>,
    list: &ListQuery,
    total: Option<i64>,
) -> Result<Page, Error> {
    let more = list.size.truncate(&mut rows);
    let next = rows
        .last()
        .filter(|_| more)
        .map(|last| cursor(last, list.order.sort_key().0));
    let users = rows
        .into_iter()
        .map(User::try_from)
        .collect::<Result<_, _>>()?;
    Ok(Page { users, next, total })
}

/// Returns the end of a page whose last user is `row`.
fn cursor(row: &Row, field: Field) -> Cursor {
    match field {
        // Creation times rise with the ids.
        Field::Id | Field::CreateTime => Cursor::Id(row.id),
        Field::Nickname | Field::Email => Cursor::Text(row.sort_key.clone()),
    }
}

/// The row of one user.
pub(super) async fn find(
    mut source: ReadSource<'_>,
    id: UserId,
) -> Result<Option<Row>, sqlx::Error> {
    let id = id.get();
    let rows = select_users!(&mut source, "users where id = ?1", id)?;
    Ok(rows.into_iter().next())
}

/// The rows of a page, and of one user more if there is another page. Each order has its
/// index, and the administrators, who are few, have indexes of their own.
pub(super) async fn page(
    mut source: ReadSource<'_>,
    list: &ListQuery,
) -> Result<Vec<Row>, sqlx::Error> {
    let source = &mut source;
    let (field, descending) = list.order.sort_key();
    let limit = list.size.limit();
    let role = list.role.map(role);
    let admins = list.role == Some(Role::Admin);
    let (id, text) = match &list.after {
        Some(Cursor::Id(id)) => (*id, ""),
        Some(Cursor::Text(text)) => (0, text.as_str()),
        // Before the first of them all.
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
    selection: PurgeFilter,
) -> Result<i64, sqlx::Error> {
    match selection {
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
    selection: PurgeFilter,
) -> Result<Vec<i64>, sqlx::Error> {
    match selection {
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
