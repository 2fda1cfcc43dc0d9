//! The rows of `users`, and their conversion to users.

use chassis::database::sqlite::{RowCursor, WrongType, time};

use crate::{
    error::Error,
    user::{Role, User},
};

/// A row of `users`, with the types of SQLite.
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) nickname: String,
    pub(super) email: String,
    pub(super) role: i64,
    pub(super) create_time: i64,
    pub(super) update_time: i64,
    pub(super) revision: i64,
    /// The text that the list is ordered by, or an empty text in an order by id.
    pub(super) sort_key: String,
}

impl Row {
    /// Reads a row whose columns are in the order of [`select_users`].
    pub(super) fn read(columns: &mut RowCursor<'_>) -> Result<Self, WrongType> {
        Ok(Self {
            id: columns.integer()?,
            nickname: columns.text()?,
            email: columns.text()?,
            role: columns.integer()?,
            create_time: columns.integer()?,
            update_time: columns.integer()?,
            revision: columns.integer()?,
            sort_key: columns.text()?,
        })
    }
}

/// Reads users from a source. `$tail` is the query after `from`, and `sort_key` the column of an
/// order by text.
macro_rules! select_users {
    ($source:expr, sort_key: $sort_key:tt, $tail:tt $(, $argument:expr)* $(,)?) => {
        chassis::database::select!(
            $source,
            crate::store::sqlite::row::Row,
            r#"select users.id as "id!", nickname as "nickname!", email as "email!",
                        role as "role!", create_time as "create_time!",
                        update_time as "update_time!", revision as "revision!", "#
                + $sort_key
                + r#" as "sort_key!: String" from "#
                + $tail
            $(, $argument)*
        )
    };
    ($source:expr, $tail:tt $(, $argument:expr)* $(,)?) => {
        select_users!($source, sort_key: "''", $tail $(, $argument)*)
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
pub(super) fn role(role: Role) -> i64 {
    match role {
        Role::User => 0,
        Role::Admin => 1,
    }
}
