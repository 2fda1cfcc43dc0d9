//! Creates a database of the newest schema version.

use std::time::Duration;

use chassis::database::settings::DatabaseUrl;
use migrator::{Migrator, Run};
use sqlx::{ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

/// Returns a connection to a database of the newest schema version, and its directory.
pub async fn migrated() -> (TempDir, SqliteConnection) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("microblog.db");
    let migrator = Migrator::new(&DatabaseUrl::from_path(&path), Duration::from_secs(30));
    migrator.unwrap().run(Run::upgrade()).await.unwrap();
    let connection = SqliteConnectOptions::new().filename(path).connect().await;
    (folder, connection.unwrap())
}
