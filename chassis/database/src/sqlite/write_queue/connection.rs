//! The connection of the writer task, with the guard over its files.

use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    AccessPolicy, Error,
    sqlite::{authorizer, file_guard::FileGuard, read_connections::ReadConnections},
};

/// The connection of the writer task. It is reopened after a rollback failed.
pub(super) struct WriterConnection {
    connection: Option<SqliteConnection>,
    options: SqliteConnectOptions,
    access: &'static AccessPolicy,
    pub(super) files: FileGuard,
    // The commits of the WAL need not be saved, or are saved since the files changed.
    saved: bool,
}

impl WriterConnection {
    pub(super) fn new(
        connection: SqliteConnection,
        options: SqliteConnectOptions,
        access: &'static AccessPolicy,
        files: FileGuard,
    ) -> Self {
        Self {
            connection: Some(connection),
            options,
            access,
            files,
            saved: false,
        }
    }

    /// Returns the connection, and opens it first if it was closed.
    pub(super) async fn open(&mut self) -> Result<&mut SqliteConnection, Error> {
        let connection = if let Some(connection) = self.connection.take() {
            connection
        } else {
            let mut connection = self.options.connect().await?;
            // Opens the WAL, whose identity is then recorded.
            let read = sqlx::query("pragma schema_version").execute(&mut connection);
            read.await?;
            self.access.install(&mut connection).await?;
            self.files.reopened()?;
            connection
        };
        Ok(self.connection.insert(connection))
    }

    /// Closes the connection. SQLite rolls back an open transaction.
    pub(super) async fn close(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        self.files.closed();
        if let Err(error) = connection.close().await {
            tracing::warn!(%error, "closing the write connection failed");
        }
    }

    /// Compares the files at the paths with the open ones. If a file is not in place, saves the
    /// commits of the WAL. If only a restart helps, also closes all connections of this process.
    ///
    /// A process that starts now would otherwise open the new database with the index of the WAL of
    /// the old one, which SQLite shares as long as a connection has it open.
    pub(super) async fn check_files(&mut self, reads: &ReadConnections) {
        if self.files.check().is_ok() {
            self.saved = false;
            return;
        }
        let needs_restart = self.files.needs_restart();
        if needs_restart {
            reads.close().await;
        }
        self.saved = self.saved || self.save().await;
        if self.saved && needs_restart {
            self.close().await;
        }
    }

    /// Copies the WAL into the open database, and empties it. The database is then complete, wherever
    /// it was moved to, and a WAL that was left behind is not applied to another database. Returns
    /// `false` while another connection prevents it.
    async fn save(&mut self) -> bool {
        if !self.files.should_checkpoint() {
            return true;
        }
        match self.checkpoint().await {
            Ok(done) => {
                if done {
                    tracing::info!("write-ahead log copied into the open database");
                }
                done
            }
            Err(error) => {
                tracing::warn!(%error, "write-ahead log was not copied into the open database");
                true
            }
        }
    }

    async fn checkpoint(&mut self) -> Result<bool, sqlx::Error> {
        let Some(connection) = &mut self.connection else {
            return Ok(true);
        };
        authorizer::remove(connection).await?;
        let checkpoint = sqlx::query_as("pragma wal_checkpoint(truncate)");
        let (busy, _, _): (bool, i64, i64) = checkpoint.fetch_one(&mut *connection).await?;
        self.access.install(connection).await?;
        Ok(!busy)
    }
}
