//! The tables and columns that a service may touch.

/// The tables and columns that the statements of one service may touch. Everything else
/// is denied: other tables, DDL, ATTACH, temporary tables, settings, recursion.
#[derive(Debug)]
pub struct AccessPolicy {
    /// The tables that the service owns: it reads and writes them.
    pub owned_tables: &'static [&'static str],
    /// Columns of others, each with its table, that a foreign key of or to the owned
    /// tables looks up. SQLite cannot tell such a look-up from a query.
    pub readable_columns: &'static [(&'static str, &'static str)],
}
