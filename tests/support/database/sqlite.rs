//! A temporary SQLite database.

use std::path::Path;

use chassis::database::settings::DatabaseUrl;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions,
};
use tempfile::TempDir;

#[derive(Debug)]
pub(super) struct SqliteDatabase {
    url: DatabaseUrl,
    folder: TempDir,
}

const FILE: &str = "microblog.db";

impl SqliteDatabase {
    pub(super) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        Self {
            url: DatabaseUrl::from_path(folder.path().join(FILE)),
            folder,
        }
    }

    pub(super) fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    pub(super) async fn execute(&self, script: &str) {
        let mut connection = self.connection().await;
        sqlx::raw_sql(AssertSqlSafe(script))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }

    pub(super) async fn query(&self, query: &str) -> Vec<String> {
        let mut connection = self.connection().await;
        let rows = sqlx::query_scalar(AssertSqlSafe(query))
            .fetch_all(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        rows
    }

    pub(super) async fn lock(&self) -> SqliteConnection {
        let mut connection = self.connection().await;
        sqlx::query("begin immediate")
            .execute(&mut connection)
            .await
            .unwrap();
        connection
    }

    async fn connection(&self) -> SqliteConnection {
        let path: &Path = self.folder.path();
        SqliteConnectOptions::new()
            .filename(path.join(FILE))
            .connect()
            .await
            .unwrap()
    }
}
