//! The version of the schema, which a service reads from the migrator's history table.

use sqlx::SqliteConnection;

/// The columns of the history table that a service may read.
pub(super) const COLUMNS: [(&str, &str); 2] = [
    ("_sqlx_migrations", "version"),
    ("_sqlx_migrations", "success"),
];

/// Returns the number of the newest applied migration, or `None` without a history or a migration.
pub(super) async fn version(connection: &mut SqliteConnection) -> Result<Option<i64>, sqlx::Error> {
    let exists: bool = sqlx::query_scalar(
        "select exists (select 1 from sqlite_schema where name = '_sqlx_migrations')",
    )
    .fetch_one(&mut *connection)
    .await?;
    if !exists {
        return Ok(None);
    }
    sqlx::query_scalar("select max(version) from _sqlx_migrations where success")
        .fetch_one(connection)
        .await
}
