//! The access policy of a service: its tables and columns.

/// The tables and columns that the statements of one service may access. Everything else is denied:
/// other tables, DDL, ATTACH, temporary tables, pragmas and recursion.
#[derive(Debug)]
pub struct AccessPolicy {
    /// The tables that the service reads and writes.
    pub owned_tables: &'static [&'static str],
    /// Columns of other services' tables that a foreign key of or to the owned tables reads, each
    /// with its table. SQLite does not distinguish the check of a foreign key from a query.
    pub readable_columns: &'static [(&'static str, &'static str)],
}
