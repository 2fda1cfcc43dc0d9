//! The tables that no service owns, told by their names.

use sqlx::SqliteConnection;

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

/// Reports whether the database has an internal table.
pub(crate) async fn exists(
    connection: &mut SqliteConnection,
    table: &str,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select exists (select 1 from sqlite_schema where name = ?1)")
        .bind(table)
        .fetch_one(connection)
        .await
}
