//! What a connection may do, for SQLite itself to enforce.

use libsqlite3_sys as sqlite;

use super::history;

/// Functions that a statement may call. None of them reaches outside the database.
const FUNCTIONS: [&str; 6] = ["coalesce", "count", "length", "max", "min", "json_each"];

/// The tables and columns that the statements of one service may touch. Everything else
/// is denied: other tables, DDL, ATTACH, temporary tables, settings, recursion.
#[derive(Debug)]
pub struct Access {
    /// The tables that the service owns: it reads and writes them.
    pub tables: &'static [&'static str],
    /// Columns of others, each with its table, that a foreign key of or to the owned
    /// tables looks up. SQLite cannot tell such a look-up from a query.
    pub columns: &'static [(&'static str, &'static str)],
}

impl Access {
    /// Whether a statement may do `action`, one of SQLite's authorizer codes. The texts
    /// are what that code says: a table and a column, a PRAGMA and its value.
    pub(super) fn allows(&self, action: i32, first: Option<&str>, second: Option<&str>) -> bool {
        let owned = || first.is_some_and(|table| self.tables.contains(&table));
        match action {
            sqlite::SQLITE_SELECT | sqlite::SQLITE_TRANSACTION | sqlite::SQLITE_SAVEPOINT => true,
            sqlite::SQLITE_INSERT | sqlite::SQLITE_UPDATE | sqlite::SQLITE_DELETE => owned(),
            sqlite::SQLITE_READ => owned() || self.reads(first, second),
            sqlite::SQLITE_FUNCTION => second.is_some_and(|name| FUNCTIONS.contains(&name)),
            _ => false,
        }
    }

    fn reads(&self, table: Option<&str>, column: Option<&str>) -> bool {
        let (Some(table), Some(column)) = (table, column) else {
            return false;
        };
        // A list of ids comes as one JSON array, which this table-valued function reads.
        table == "json_each"
            || history::COLUMNS.contains(&(table, column))
            || self.columns.contains(&(table, column))
    }
}
