//! Tests of the crate `database` on real files: access rules, write queue, reads and startup.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "an error in a helper fails the test"
)]

mod authorizer;
mod batcher;
mod database_status;
mod files;
mod inline_reads;
mod startup;
mod write_queue;

use std::{future::Future, path::PathBuf, pin::Pin, time::Duration};

use chassis::database::{
    Lifecycle, Requirements,
    settings::{DatabaseSettings, DatabaseUrl},
    sqlite::Database,
};
use futures::poll;
use migrator::{Migrator, Run};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions,
};
use tempfile::TempDir;
use tokio::task::yield_now;

/// The timeout of a test step that normally takes much less.
const TEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Awaits `future`, and fails the test after [`TEST_TIMEOUT`].
async fn within_timeout<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(TEST_TIMEOUT, future)
        .await
        .expect("the test timed out")
}

/// Polls `future` often enough for the writer task to try to take the lock, in vain.
async fn assert_stays_pending(mut future: Pin<&mut impl Future>) {
    for _ in 0..100 {
        assert!(poll!(future.as_mut()).is_pending());
        yield_now().await;
    }
}

/// A temporary directory for a database, with the settings of the services that use it.
struct TestDir {
    directory: TempDir,
    settings: DatabaseSettings,
}

impl TestDir {
    /// Creates a directory without a database.
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let settings = DatabaseSettings {
            database_url: DatabaseUrl::from_path(directory.path().join("microblog.db")),
            ..DatabaseSettings::default()
        };
        Self {
            directory,
            settings,
        }
    }

    /// Creates a directory with a database of the newest version.
    async fn migrated() -> Self {
        let dir = Self::new();
        dir.migrator().run(Run::upgrade()).await.unwrap();
        dir
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("microblog.db")
    }

    fn migrator(&self) -> Migrator {
        Migrator::new(&self.settings.database_url, TEST_TIMEOUT).unwrap()
    }

    /// Returns the handle of a service, before it waits for the database.
    fn database(&self, requirements: &'static Requirements) -> Database {
        let DatabaseUrl::Sqlite(path) = &self.settings.database_url;
        Database::new(path, &self.settings, requirements)
    }

    /// Returns the handle of a service whose database is ready.
    async fn ready(&self, requirements: &'static Requirements) -> Database {
        let database = self.database(requirements);
        within_timeout(database.ready()).await.unwrap();
        database
    }

    /// Opens a connection of another program, without an access policy. Creates a missing file.
    async fn connect(&self) -> SqliteConnection {
        SqliteConnectOptions::new()
            .filename(self.path())
            .create_if_missing(true)
            .connect()
            .await
            .unwrap()
    }

    /// Opens a connection of another program that holds the write lock.
    async fn lock(&self) -> SqliteConnection {
        let mut connection = self.connect().await;
        let begin = sqlx::query("begin immediate").execute(&mut connection);
        begin.await.unwrap();
        connection
    }

    /// Executes a script on a connection of another program.
    async fn execute(&self, script: &str) {
        let mut connection = self.connect().await;
        sqlx::raw_sql(AssertSqlSafe(script))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }

    /// Returns the nicknames of all users, in the order of their ids.
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
