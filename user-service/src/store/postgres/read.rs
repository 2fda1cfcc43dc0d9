//! Queries for users.
//!
//! Lists use keyset pagination, never offsets: users that are created or deleted between two
//! pages shift no page.

use sqlx::PgConnection;

use super::row::{Row, role, select_users};
use crate::{
    error::Error,
    store::{Cursor, ListQuery, MAX_SORT_KEY, PURGE_SAMPLE_SIZE, Page},
    user::{Field, LookupKey, PurgeFilter, Role, User, UserId},
};

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
    connection: &mut PgConnection,
    id: UserId,
) -> Result<Option<Row>, sqlx::Error> {
    let user = select_users!("where id = $1", id.get());
    user.fetch_optional(connection).await
}

/// Returns the row of a user, and locks it until the end of the transaction.
pub(super) async fn find_for_update(
    connection: &mut PgConnection,
    id: UserId,
) -> Result<Option<Row>, sqlx::Error> {
    let user = select_users!("where id = $1 for update", id.get());
    user.fetch_optional(connection).await
}

/// Returns the row of the user with a nickname or an email address.
pub(super) async fn find_by_key(
    connection: &mut PgConnection,
    key: &LookupKey,
) -> Result<Option<Row>, sqlx::Error> {
    match key {
        LookupKey::Nickname(nickname) => {
            let user = select_users!("where nickname_key = $1", nickname.key());
            user.fetch_optional(connection).await
        }
        LookupKey::Email(email) => {
            let user = select_users!("where email_key = $1", email.key());
            user.fetch_optional(connection).await
        }
    }
}

/// Returns the rows of the users with these ids, in any order.
pub(super) async fn find_all(
    connection: &mut PgConnection,
    ids: &[i64],
) -> Result<Vec<Row>, sqlx::Error> {
    let users = select_users!("where id = any($1)", ids);
    users.fetch_all(connection).await
}

/// Returns the rows of a page, and one more row if another page follows. Each order has an index,
/// and a partial index for administrators, who are few among many users.
pub(super) async fn page(
    connection: &mut PgConnection,
    query: &ListQuery,
) -> Result<Vec<Row>, sqlx::Error> {
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
                let page = select_users!(sort_key: $sort_key, $admins, $after, limit);
                page.fetch_all(connection).await
            } else {
                let page = select_users!(sort_key: $sort_key, $others, $after, role, limit);
                page.fetch_all(connection).await
            }
        };
    }
    match (field, descending) {
        (Field::Id | Field::CreateTime, false) => page!(
            id,
            "''",
            "where id > $1 and ($2::smallint is null or role = $2) order by id limit $3",
            "where id > $1 and role = 1 order by id limit $2"
        ),
        (Field::Id | Field::CreateTime, true) => page!(
            id,
            "''",
            "where id < $1 and ($2::smallint is null or role = $2) order by id desc limit $3",
            "where id < $1 and role = 1 order by id desc limit $2"
        ),
        (Field::Nickname, false) => page!(
            text,
            "nickname_key",
            "where nickname_key > $1 and ($2::smallint is null or role = $2)
            order by nickname_key limit $3",
            "where nickname_key > $1 and role = 1 order by nickname_key limit $2"
        ),
        (Field::Nickname, true) => page!(
            text,
            "nickname_key",
            "where nickname_key < $1 and ($2::smallint is null or role = $2)
            order by nickname_key desc limit $3",
            "where nickname_key < $1 and role = 1 order by nickname_key desc limit $2"
        ),
        (Field::Email, false) => page!(
            text,
            "email_key",
            "where email_key > $1 and ($2::smallint is null or role = $2)
            order by email_key limit $3",
            "where email_key > $1 and role = 1 order by email_key limit $2"
        ),
        (Field::Email, true) => page!(
            text,
            "email_key",
            "where email_key < $1 and ($2::smallint is null or role = $2)
            order by email_key desc limit $3",
            "where email_key < $1 and role = 1 order by email_key desc limit $2"
        ),
    }
}

/// Returns the value of the column `role` of the users that match `filter`, or `None` for all users.
pub(super) fn role_of(filter: PurgeFilter) -> Option<i16> {
    match filter {
        PurgeFilter::All => None,
        PurgeFilter::Role(filter) => Some(role(filter)),
    }
}

pub(super) async fn count(
    connection: &mut PgConnection,
    filter: PurgeFilter,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from users where ($1::smallint is null or role = $1)"#,
        role_of(filter)
    )
    .fetch_one(connection)
    .await
}

pub(super) async fn sample(
    connection: &mut PgConnection,
    filter: PurgeFilter,
) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        "select id from users where ($1::smallint is null or role = $1) order by id limit $2",
        role_of(filter),
        PURGE_SAMPLE_SIZE
    )
    .fetch_all(connection)
    .await
}
