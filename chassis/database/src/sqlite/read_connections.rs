//! The connections of one process that read: a pool, and those of inline reads.

use std::{path::Path, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use sqlx::{Sqlite, SqlitePool, pool::PoolConnection, sqlite::SqlitePoolOptions};
use tokio::{sync::watch, time::timeout};

use super::{inline_reads::InlineReaders, options, result_code::stale_file};
use crate::{AccessPolicy, settings::DatabaseSettings};

/// The connections that read. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct ReadConnections {
    pub(super) inline: Arc<InlineReaders>,
    /// `false` while the files of the database are not those that were opened.
    pub(super) in_place: watch::Receiver<bool>,
    pool: SqlitePool,
    close_timeout: Duration,
}

impl ReadConnections {
    /// Returns connections to the file at `path`, which are opened on demand.
    pub(super) fn new(
        path: &Path,
        settings: &DatabaseSettings,
        access: &'static AccessPolicy,
        in_place: watch::Receiver<bool>,
    ) -> Self {
        Self {
            inline: Arc::new(InlineReaders::new(
                path.to_owned(),
                access,
                settings.inline_reads,
            )),
            in_place,
            pool: read_pool(path, settings, access),
            close_timeout: settings.read_pool_timeout,
        }
    }

    /// Acquires a connection of the pool. The future is boxed, since it has some 1000 bytes, which
    /// would otherwise be part of the future of every call that may read here. Few calls do.
    pub(super) fn acquire(&self) -> BoxFuture<'_, Result<PoolConnection<Sqlite>, sqlx::Error>> {
        Box::pin(async {
            let acquired = self.pool.acquire().await;
            if *self.in_place.borrow() {
                acquired
            } else {
                Err(stale_file())
            }
        })
    }

    /// Closes all connections. Later reads fail.
    pub(super) async fn close(&self) {
        self.inline.close();
        if timeout(self.close_timeout, self.pool.close())
            .await
            .is_err()
        {
            tracing::warn!("read pool did not close in time; a connection was leaked");
        }
    }
}

/// Returns the pool of read-only connections. They are opened on demand, and stay open.
fn read_pool(
    path: &Path,
    settings: &DatabaseSettings,
    access: &'static AccessPolicy,
) -> SqlitePool {
    let count = u32::try_from(settings.max_read_connections.get()).unwrap_or(u32::MAX);
    let options = options(path.to_owned())
        .read_only(true)
        // Readers wait only while another process recovers the WAL after a crash.
        .busy_timeout(settings.read_pool_timeout);
    SqlitePoolOptions::new()
        .max_connections(count)
        .acquire_timeout(settings.read_pool_timeout)
        // A connection to a file does not go stale, and the test costs as much as a read.
        .test_before_acquire(false)
        // The access log reports slow calls.
        .acquire_slow_threshold(Duration::MAX)
        .idle_timeout(None)
        .max_lifetime(None)
        .after_connect(move |connection, _| Box::pin(access.install(connection)))
        .connect_lazy_with(options)
}
