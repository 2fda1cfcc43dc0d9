//! The internal tables, which no service owns, by their names.

use sqlx::SqliteConnection;

/// The program that owns an internal table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InternalOwner {
    Sqlite,
    Migrator,
    /// Owns `_litestream_seq` and `_litestream_lock` in a database that it replicates.
    Litestream,
}

/// The prefixes of internal tables.
const PREFIXES: [(&str, InternalOwner); 4] = [
    ("sqlite_", InternalOwner::Sqlite),
    ("_sqlx_", InternalOwner::Migrator),
    ("_migrator_", InternalOwner::Migrator),
    ("_litestream_", InternalOwner::Litestream),
];

/// Returns the owner of an internal table, or `None` if a service may own the table.
pub(crate) fn owner(table: &str) -> Option<InternalOwner> {
    let table = table.to_ascii_lowercase();
    let mut prefixes = PREFIXES.iter();
    let (_, owner) = prefixes.find(|(prefix, _)| table.starts_with(prefix))?;
    Some(*owner)
}

/// Reports whether the database has an internal table.
pub(crate) async fn table_exists(
    connection: &mut SqliteConnection,
    table: &str,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select exists (select 1 from sqlite_schema where name = ?1)")
        .bind(table)
        .fetch_one(connection)
        .await
}
