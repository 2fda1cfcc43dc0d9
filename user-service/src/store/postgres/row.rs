//! The rows of `users`, and their conversion to users.

use chassis::database::time;

use crate::{
    error::Error,
    user::{Role, User},
};

/// A row of `users`, with the types of PostgreSQL.
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) nickname: String,
    pub(super) email: String,
    pub(super) role: i16,
    pub(super) create_time: i64,
    pub(super) update_time: i64,
    pub(super) revision: i64,
    /// The text that the list is ordered by, or an empty text in an order by id.
    pub(super) sort_key: String,
}

/// Returns the query for users. `$tail` is the query after `from users`, and `sort_key` the column of
/// an order by text.
macro_rules! select_users {
    (sort_key: $sort_key:tt, $tail:tt $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            crate::store::postgres::row::Row,
            r#"select id, nickname, email, role, create_time, update_time, revision, "#
                + $sort_key
                + r#" as "sort_key!" from users "#
                + $tail
            $(, $argument)*
        )
    };
    ($tail:tt $(, $argument:expr)* $(,)?) => {
        select_users!(sort_key: "''", $tail $(, $argument)*)
    };
}
pub(super) use select_users;

impl TryFrom<Row> for User {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.id,
            nickname: row.nickname,
            email: row.email,
            role: match row.role {
                0 => Role::User,
                1 => Role::Admin,
                role => {
                    return Err(Error::Corrupt(format!(
                        "the role {role} of user {}",
                        row.id
                    )));
                }
            },
            create_time: time(row.create_time).map_err(Error::Corrupt)?,
            update_time: time(row.update_time).map_err(Error::Corrupt)?,
            revision: row.revision,
        })
    }
}

/// Returns the value of the column `role`.
pub(super) fn role(role: Role) -> i16 {
    match role {
        Role::User => 0,
        Role::Admin => 1,
    }
}
