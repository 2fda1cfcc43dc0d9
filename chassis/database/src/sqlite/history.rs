//! The version of the schema: what the services read of the migrator's history.

use sqlx::SqliteConnection;

/// The columns of the history table that are read here.
pub(super) const COLUMNS: [(&str, &str); 2] = [
    ("_sqlx_migrations", "version"),
    ("_sqlx_migrations", "success"),
];

/// The number of the newest migration that was applied, or `None` where there is none
/// or no history.
pub(super) async fn version(connection: &mut SqliteConnection) -> Result<Option<i64>, sqlx::Error> {
    let there: bool = sqlx::query_scalar(
        "select exists (select 1 from sqlite_schema where name = '_sqlx_migrations')",
    )
    .fetch_one(&mut *connection)
    .await?;
    if !there {
        return Ok(None);
    }
    sqlx::query_scalar("select max(version) from _sqlx_migrations where success")
        .fetch_one(connection)
        .await
}
