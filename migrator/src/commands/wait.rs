//! `wait`: until the database is there and migrated.

use std::time::{Duration, Instant};

use crate::{
    Migrator,
    error::Error,
    report::WaitReport,
    run::plan::{self, PlanError},
    state::error::DatabaseError,
};

/// Between two looks at a database that is not there yet.
const LOOK_EVERY: Duration = Duration::from_millis(100);

impl Migrator {
    /// Waits up to `timeout` until the database exists at `version`, by default the newest, or
    /// at a later one. Returns the version that it is at.
    ///
    /// # Errors
    ///
    /// [`PlanError::Behind`] if it is not there in time; at once, if waiting does not help.
    pub async fn wait(&self, version: Option<i64>, timeout: Duration) -> Result<WaitReport, Error> {
        let wanted = version.unwrap_or_else(|| self.migrations.newest());
        let began = Instant::now();
        let mut said = false;
        loop {
            let left = timeout.saturating_sub(began.elapsed());
            let found = match self.history(left.min(self.lock_timeout)).await {
                Ok(applied) => Some(plan::version(&applied)),
                Err(Error::Database(DatabaseError::NotFound { .. } | DatabaseError::Locked(_))) => {
                    None
                }
                Err(error) => return Err(error),
            };
            match found {
                Some(version) if version >= wanted => {
                    let database = self.name();
                    return Ok(WaitReport { database, version });
                }
                _ if began.elapsed() >= timeout => {
                    return Err(PlanError::Behind {
                        database: self.name(),
                        version: found,
                        wanted,
                        waited: timeout,
                    }
                    .into());
                }
                _ => {
                    if !said {
                        let database = self.database.display();
                        tracing::debug!(%database, wanted, "waiting for the database");
                    }
                    said = true;
                    tokio::time::sleep(LOOK_EVERY.min(left)).await;
                }
            }
        }
    }
}
