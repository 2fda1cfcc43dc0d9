//! The database of a test, as no service has it: whatever its engine, the tests of the
//! services touch it through here only.

use std::path::Path;

use chassis::database::settings::DatabaseUrl;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions,
};
use tempfile::TempDir;

/// A database that is deleted with its test. It need not be migrated yet.
#[derive(Debug)]
pub struct TestDatabase {
    url: DatabaseUrl,
    _folder: TempDir,
}

/// The lock of a database, held as another process that writes would hold it.
#[derive(Debug)]
pub struct DatabaseLock(SqliteConnection);

impl TestDatabase {
    /// A database that nobody has created yet.
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        Self {
            url: DatabaseUrl::from_path(folder.path().join("microblog.db")),
            _folder: folder,
        }
    }

    /// The URL under which services find it.
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

    /// Returns the first column of what a query yields, which is to be text.
    pub async fn query(&self, query: &str) -> Vec<String> {
        let mut connection = self.connection().await;
        let rows = sqlx::query_scalar(AssertSqlSafe(query))
            .fetch_all(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        rows
    }

    /// Returns how many rows a table has.
    pub async fn count(&self, table: &str) -> i64 {
        let count = format!("select cast(count(*) as text) from {table}");
        self.query(&count).await[0].parse().unwrap()
    }

    /// Gives the ids after `last` to the next rows of a table, as after the restore of a backup.
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
