//! The tables that no service owns, told by their names. Knows no database.

/// The program that keeps a table for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeper {
    Sqlite,
    Migrator,
    /// It keeps `_litestream_seq` and `_litestream_lock` in a database that it replicates.
    Litestream,
}

/// The first part of the names of such tables.
const PREFIXES: [(&str, Keeper); 4] = [
    ("sqlite_", Keeper::Sqlite),
    ("_sqlx_", Keeper::Migrator),
    ("_migrator_", Keeper::Migrator),
    ("_litestream_", Keeper::Litestream),
];

/// Returns the keeper of a table, or `None` if a service may own it.
pub(crate) fn keeper(table: &str) -> Option<Keeper> {
    let table = table.to_ascii_lowercase();
    let mut prefixes = PREFIXES.iter();
    let (_, keeper) = prefixes.find(|(prefix, _)| table.starts_with(prefix))?;
    Some(*keeper)
}
