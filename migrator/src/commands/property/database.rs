//! A database file in memory.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use database::settings::DatabaseUrl;
use sqlx::{ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use crate::{Migrator, Project};

/// A folder for one database, in memory where the system has such a file system.
pub(super) struct TestDatabase {
    folder: TempDir,
}

impl TestDatabase {
    pub(super) fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() {
            TempDir::new_in(memory)
        } else {
            TempDir::new()
        };
        Self {
            folder: folder.unwrap(),
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("microblog.db")
    }

    /// Returns a migrator with the migrations of a project.
    pub(super) fn migrator(&self, project: &Project) -> Migrator {
        let url = DatabaseUrl::from_path(self.path());
        let migrations = project.migrations().unwrap();
        Migrator::with_migrations(&url, Duration::from_secs(30), migrations)
    }

    /// Opens a connection without foreign keys.
    pub(super) async fn connect(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new()
            .filename(self.path())
            .foreign_keys(false)
            .disable_statement_logging();
        options.connect().await.unwrap()
    }
}
