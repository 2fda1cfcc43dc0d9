//! What a connection may do, for SQLite itself to enforce.

use sqlx::SqliteConnection;

use super::{
    action::{Action, Code},
    authorizer, history,
};
use crate::Access;

/// Functions that a statement may call. None of them reaches outside the database.
const FUNCTIONS: [&str; 10] = [
    "coalesce",
    "count",
    "hex",
    "length",
    "max",
    "min",
    "json_each",
    "jsonb_each",
    "unhex",
    "->>",
];

impl Access {
    /// Lets a connection do this, and nothing else, for as long as it is open.
    pub(super) async fn install(
        &'static self,
        connection: &mut SqliteConnection,
    ) -> Result<(), sqlx::Error> {
        authorizer::install(connection, |action| self.allows(action)).await
    }

    /// Whether a statement may do it.
    pub(super) fn allows(&self, action: Action<'_>) -> bool {
        let Action {
            code,
            first,
            second,
        } = action;
        let owned = || first.is_some_and(|table| self.tables.contains(&table));
        match code {
            Code::Select | Code::Transaction | Code::Savepoint => true,
            Code::Insert | Code::Update | Code::Delete => owned(),
            Code::Read => owned() || self.reads(first, second),
            Code::Function => second.is_some_and(|name| FUNCTIONS.contains(&name)),
            _ => false,
        }
    }

    fn reads(&self, table: Option<&str>, column: Option<&str>) -> bool {
        let (Some(table), Some(column)) = (table, column) else {
            return false;
        };
        // Lists come as one JSON array, which these table-valued functions read: the second
        // one gives arrays in it in the form that takes SQLite no time to read again.
        ["json_each", "jsonb_each"].contains(&table)
            || history::COLUMNS.contains(&(table, column))
            || self.columns.contains(&(table, column))
    }
}
