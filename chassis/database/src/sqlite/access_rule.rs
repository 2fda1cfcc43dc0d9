//! What a connection may do, for SQLite itself to enforce.

use sqlx::SqliteConnection;

use super::{
    action::{Action, ActionCode},
    authorizer, history,
};
use crate::AccessPolicy;

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

impl AccessPolicy {
    /// Lets a connection do this, and nothing else, for as long as it is open.
    pub(super) async fn install(
        &'static self,
        connection: &mut SqliteConnection,
    ) -> Result<(), sqlx::Error> {
        authorizer::install(connection, |action| self.allows(action)).await
    }

    /// Whether a statement may do it.
    pub(super) fn allows(&self, action: Action<'_>) -> bool {
        let Action { code, arg1, arg2 } = action;
        let owned = || arg1.is_some_and(|table| self.owned_tables.contains(&table));
        match code {
            ActionCode::Select | ActionCode::Transaction | ActionCode::Savepoint => true,
            ActionCode::Insert | ActionCode::Update | ActionCode::Delete => owned(),
            ActionCode::Read => owned() || self.reads(arg1, arg2),
            ActionCode::Function => arg2.is_some_and(|name| FUNCTIONS.contains(&name)),
            _ => false,
        }
    }

    fn reads(&self, table: Option<&str>, column: Option<&str>) -> bool {
        let (Some(table), Some(column)) = (table, column) else {
            return false;
        };
        // Lists come as one JSON array, which these table-valued functions read: the arg2
        // one gives arrays in it in the form that takes SQLite no time to read again.
        ["json_each", "jsonb_each"].contains(&table)
            || history::COLUMNS.contains(&(table, column))
            || self.readable_columns.contains(&(table, column))
    }
}
