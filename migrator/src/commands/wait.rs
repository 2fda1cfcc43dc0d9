//! `wait`: waits until the database exists and is migrated.

use std::time::{Duration, Instant};

use crate::{
    Migrator,
    error::Error,
    report::WaitReport,
    run::plan::{self, PlanError},
    state::error::DatabaseError,
};

/// The time between two reads of the history.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

impl Migrator {
    /// Waits up to `timeout` until the database exists at `version`, by default the newest, or
    /// at a later one. Returns the version that it is at.
    ///
    /// # Errors
    ///
    /// [`PlanError::Behind`] after the timeout. Any error that waiting cannot resolve is returned
    /// immediately.
    pub async fn wait(&self, version: Option<i64>, timeout: Duration) -> Result<WaitReport, Error> {
        let target = version.unwrap_or_else(|| self.migrations.newest());
        let started = Instant::now();
        let mut is_logged = false;
        loop {
            let left = timeout.saturating_sub(started.elapsed());
            let found = match self.history(left.min(self.lock_timeout)).await {
                Ok(applied) => Some(plan::version(&applied)),
                Err(Error::Database(DatabaseError::NotFound { .. } | DatabaseError::Locked(_))) => {
                    None
                }
                Err(error) => return Err(error),
            };
            match found {
                Some(version) if version >= target => {
                    let database = self.name();
                    return Ok(WaitReport { database, version });
                }
                _ if started.elapsed() >= timeout => {
                    return Err(PlanError::Behind {
                        database: self.name(),
                        version: found,
                        wanted: target,
                        waited: timeout,
                    }
                    .into());
                }
                _ => {
                    if !is_logged {
                        let database = self.database.display();
                        tracing::debug!(%database, version = target, "waiting for the database");
                    }
                    is_logged = true;
                    tokio::time::sleep(POLL_INTERVAL.min(left)).await;
                }
            }
        }
    }
}
