//! The database as a service holds it: what its connections may do, how writes are
//! queued, and how it is waited for.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper that fails is a failed test"
)]

mod authorizer;
mod batcher;
mod direct;
mod failure;
mod queue;
mod ready;

use std::{future::Future, path::PathBuf, time::Duration};

use chassis::database::{
    Lifecycle, Requirements,
    settings::{DatabaseSettings, DatabaseUrl},
    sqlite::Database,
};
use migrator::{Migrator, Run};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions,
};
use tempfile::TempDir;

/// Longer than anything takes that goes well.
const PATIENCE: Duration = Duration::from_secs(30);

/// What `future` gives, which must not take long.
async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it takes too long")
}

/// A folder of its own with the path of a database, and the settings that services in it
/// have.
struct Place {
    folder: TempDir,
    settings: DatabaseSettings,
}

impl Place {
    /// One without a database.
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let settings = DatabaseSettings {
            database_url: DatabaseUrl::from_path(folder.path().join("microblog.db")),
            ..DatabaseSettings::default()
        };
        Self { folder, settings }
    }

    /// One with a database of the newest version.
    async fn migrated() -> Self {
        let place = Self::new();
        place.migrator().run(Run::upgrade()).await.unwrap();
        place
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("microblog.db")
    }

    fn migrator(&self) -> Migrator {
        Migrator::new(&self.settings.database_url, PATIENCE).unwrap()
    }

    /// What a service holds, which has not yet waited for it.
    fn database(&self, requirements: &'static Requirements) -> Database {
        let DatabaseUrl::Sqlite(path) = &self.settings.database_url;
        Database::new(path, &self.settings, requirements)
    }

    /// What a service holds that can do its work.
    async fn ready(&self, requirements: &'static Requirements) -> Database {
        let database = self.database(requirements);
        soon(database.ready()).await.unwrap();
        database
    }

    /// A connection as another program has it: it may do everything. Makes the file if it
    /// is not there.
    async fn connect(&self) -> SqliteConnection {
        SqliteConnectOptions::new()
            .filename(self.path())
            .create_if_missing(true)
            .connect()
            .await
            .unwrap()
    }

    /// A connection of another process that is writing.
    async fn lock(&self) -> SqliteConnection {
        let mut connection = self.connect().await;
        let begun = sqlx::query("begin immediate").execute(&mut connection);
        begun.await.unwrap();
        connection
    }

    /// Runs a script.
    async fn execute(&self, script: &str) {
        let mut connection = self.connect().await;
        sqlx::raw_sql(AssertSqlSafe(script))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }

    /// The nicknames of all users, in the order of their ids.
    async fn nicknames(&self) -> Vec<String> {
        let mut connection = self.connect().await;
        let rows = sqlx::query_scalar("select nickname from users order by id")
            .fetch_all(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        rows
    }
}
