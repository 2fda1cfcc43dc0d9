//! Enforcement of an access policy by SQLite's authorizer.

use sqlx::SqliteConnection;

use super::{
    action::{Action, ActionCode},
    authorizer, history,
};
use crate::AccessPolicy;

/// The SQL functions that a statement may call. None of them accesses anything but its arguments.
const FUNCTIONS: [&str; 12] = [
    "coalesce",
    "count",
    "hex",
    "length",
    "max",
    "min",
    "octet_length",
    "sum",
    "json_each",
    "jsonb_each",
    "unhex",
    "->>",
];

impl AccessPolicy {
    /// Restricts a connection to this policy until it is closed.
    pub(super) async fn install(
        &'static self,
        connection: &mut SqliteConnection,
    ) -> Result<(), sqlx::Error> {
        authorizer::install(connection, |action| self.allows(action)).await
    }

    /// Returns whether a statement may perform an action.
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
        // These table-valued functions read lists that are passed as JSON. `jsonb_each` returns nested
        // arrays as JSONB, which SQLite need not parse again.
        ["json_each", "jsonb_each"].contains(&table)
            || history::COLUMNS.contains(&(table, column))
            || self.readable_columns.contains(&(table, column))
    }
}
