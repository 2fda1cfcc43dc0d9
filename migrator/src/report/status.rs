//! The reports of `status` and `wait`.

use std::{fmt, time::Duration};

use serde::Serialize;

use super::{
    format::{optional_milliseconds, write_table, write_version},
    migration_ref::MigrationRef,
};
use crate::{
    error::exit::Exit,
    project::migrations::Migrations,
    run::plan,
    state::{database_name::DatabaseName, history::AppliedMigration},
};

/// The state of every migration in a database. Its text is a table that ends with the version.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The database that was inspected.
    pub database: DatabaseName,
    /// Every migration of this program and of the history, in ascending order.
    pub migrations: Vec<MigrationStatus>,
    /// The number of the newest applied migration, or 0.
    pub version: i64,
}

/// The state of a migration in a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MigrationStatus {
    /// The migration.
    pub migration: MigrationRef,
    /// Its state.
    pub state: MigrationState,
    /// The time at which it was applied: RFC 3339, UTC.
    pub applied_at: Option<String>,
    /// The execution time, if it was applied and the history records it.
    #[serde(rename = "took_ms", serialize_with = "optional_milliseconds")]
    pub duration: Option<Duration>,
}

impl fmt::Display for MigrationStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}", self.migration, self.state)
    }
}

/// The states of a migration in a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MigrationState {
    /// Not applied yet.
    Pending,
    /// Not applied, and a newer one is.
    OutOfOrder,
    /// Applied.
    Applied,
    /// Applied, and its file was changed afterwards.
    Changed,
    /// Applied, and unknown to this program.
    Missing,
    /// Started by another tool, and not finished.
    Failed,
}

impl fmt::Display for MigrationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pending => "pending",
            Self::OutOfOrder => "out of order",
            Self::Applied => "applied",
            Self::Changed => "changed",
            Self::Missing => "missing",
            Self::Failed => "failed",
        })
    }
}

impl Status {
    /// Returns 6 if the history contradicts the migrations; otherwise 3 if a migration is
    /// pending, or 0.
    #[must_use]
    pub fn exit_code(&self) -> Exit {
        let states = || self.migrations.iter().map(|entry| entry.state);
        if !states().all(|state| matches!(state, MigrationState::Applied | MigrationState::Pending))
        {
            Exit::History
        } else if states().any(|state| state == MigrationState::Pending) {
            Exit::Pending
        } else {
            Exit::Done
        }
    }

    pub(crate) fn new(
        database: DatabaseName,
        known: &Migrations,
        history: &[AppliedMigration],
    ) -> Self {
        let version = plan::version(history);
        let pending = known
            .iter()
            .filter(|known| history.iter().all(|row| row.number != known.number()))
            .map(|migration| MigrationStatus {
                migration: migration.into(),
                state: if migration.number() < version {
                    MigrationState::OutOfOrder
                } else {
                    MigrationState::Pending
                },
                applied_at: None,
                duration: None,
            });
        let applied = history.iter().map(|row| {
            let migration = known.get(row.number);
            MigrationStatus {
                migration: migration.map_or_else(|| row.into(), MigrationRef::from),
                state: match migration {
                    _ if !row.success => MigrationState::Failed,
                    None => MigrationState::Missing,
                    Some(migration) if row.matches(migration) => MigrationState::Applied,
                    Some(_) => MigrationState::Changed,
                },
                applied_at: row.applied_at.clone(),
                duration: row.execution_time,
            }
        });
        let mut migrations: Vec<_> = pending.chain(applied).collect();
        migrations.sort_by_key(|entry| entry.migration.number);
        Self {
            database,
            migrations,
            version,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Database: {}\n", &self.database)?;

        let header = ["number", "name", "owner", "state", "applied at", "duration"];
        let mut rows = vec![header.map(String::from)];
        for entry in &self.migrations {
            let duration = entry
                .duration
                .map(|duration| format!("{} ms", duration.as_millis()));
            rows.push([
                format!("{:04}", entry.migration.number),
                entry.migration.name.clone(),
                entry.migration.owner().to_owned(),
                entry.state.to_string(),
                entry.applied_at.clone().unwrap_or_default(),
                duration.unwrap_or_default(),
            ]);
        }
        write_table(f, &rows)?;

        writeln!(f)?;
        write_version(f, self.version)
    }
}

/// The version of a database that `wait` waited for.
#[derive(Clone, Debug, Serialize)]
pub struct WaitReport {
    /// The database.
    pub database: DatabaseName,
    /// The number of the newest applied migration, or 0.
    pub version: i64,
}

impl fmt::Display for WaitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_version(f, self.version)
    }
}
