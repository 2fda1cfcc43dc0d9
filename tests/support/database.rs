//! The database of a test, without the access restrictions of the services. Tests of the services
//! use the engine only through this module, so that they pass on any engine.

use std::path::Path;

use chassis::database::settings::DatabaseUrl;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions,
};
use tempfile::TempDir;

/// A temporary database, which may not be migrated yet. It is deleted on drop.
#[derive(Debug)]
pub struct TestDatabase {
    url: DatabaseUrl,
    _folder: TempDir,
}

/// The write lock of a database, held as by another writing process.
#[derive(Debug)]
pub struct DatabaseLock(SqliteConnection);

impl TestDatabase {
    /// Reserves the path of a database that does not exist yet.
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        Self {
            url: DatabaseUrl::from_path(folder.path().join("microblog.db")),
            _folder: folder,
        }
    }

    /// Returns the URL of the database.
    pub fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// Runs a script.
    pub async fn execute(&self, script: &str) {
        let mut connection = self.connection().await;
        sqlx::raw_sql(AssertSqlSafe(script))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }

    /// Returns the first column of the rows of a query. The column must be text.
    pub async fn query(&self, query: &str) -> Vec<String> {
        let mut connection = self.connection().await;
        let rows = sqlx::query_scalar(AssertSqlSafe(query))
            .fetch_all(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        rows
    }

    /// Returns the number of rows of a table.
    pub async fn count(&self, table: &str) -> i64 {
        let count = format!("select cast(count(*) as text) from {table}");
        self.query(&count).await[0].parse().unwrap()
    }

    /// Makes the next rows of a table get the ids after `last`, as after the restore of a backup.
    pub async fn restart_ids(&self, table: &str, last: i64) {
        self.execute(&format!(
            "update sqlite_sequence set seq = {last} where name = '{table}'"
        ))
        .await;
    }

    /// Locks the database for writing.
    pub async fn lock(&self) -> DatabaseLock {
        let mut connection = self.connection().await;
        sqlx::query("begin immediate")
            .execute(&mut connection)
            .await
            .unwrap();
        DatabaseLock(connection)
    }

    async fn connection(&self) -> SqliteConnection {
        let DatabaseUrl::Sqlite(path) = &self.url;
        let path: &Path = path;
        SqliteConnectOptions::new()
            .filename(path)
            .connect()
            .await
            .unwrap()
    }
}

impl DatabaseLock {
    /// Ends the transaction that holds the lock.
    pub async fn release(self) {
        self.0.close().await.unwrap();
    }
}
