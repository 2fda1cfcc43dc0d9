//! The report of `create`, `upgrade`, `downgrade` and `baseline`.

use std::{fmt, time::Duration};

use serde::Serialize;

use super::{
    format::{milliseconds, write_version},
    migration_ref::MigrationRef,
};
use crate::{
    project::migrations::{Direction, Migration},
    run::data_loss::DataLoss,
    sqlite::backup::Backup,
    state::database_name::DatabaseName,
};

/// The effects of a run. Its text ends with the version.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// The database that the run changed.
    pub database: DatabaseName,
    /// True if the run was rolled back at its end, as requested.
    pub dry_run: bool,
    /// True if the run created the database.
    pub created: bool,
    /// The migrations that `baseline` recorded without executing them.
    #[serde(rename = "adopted")]
    pub baselined: Vec<MigrationRef>,
    /// The backup of the state before the run, if one was made.
    pub backup: Option<Backup>,
    /// The migrations that were applied or reverted, in order.
    pub steps: Vec<StepReport>,
    /// The time for which the run held the write lock: from BEGIN to the end of COMMIT.
    #[serde(skip)]
    pub locked: Duration,
    /// The tables and columns with data that the run dropped.
    pub losses: Vec<DataLoss>,
    /// The number of rows that violated a foreign key before the run.
    pub orphans: usize,
    /// The number of the newest applied migration before the run, or 0.
    pub version_before: i64,
    /// The number of the newest applied migration after the run, or 0. After a dry run: the
    /// version that a real run would reach.
    pub version: i64,
}

/// A migration that a run applied or reverted.
#[derive(Clone, Debug, Serialize)]
pub struct StepReport {
    /// The migration.
    pub migration: MigrationRef,
    /// Up if it was applied, down if it was reverted.
    pub direction: Direction,
    /// Its statements, in order.
    pub statements: Vec<StatementReport>,
    /// The execution time of the whole script.
    #[serde(rename = "elapsed_ms", serialize_with = "milliseconds")]
    pub elapsed: Duration,
}

/// A statement of a script that was executed.
#[derive(Clone, Debug, Serialize)]
pub struct StatementReport {
    /// The line of the script on which the statement starts, from 1.
    pub line: usize,
    /// The text without leading comments and without the semicolon.
    pub sql: String,
    /// The number of rows inserted, updated and deleted.
    pub rows: i64,
    /// The execution time.
    #[serde(rename = "elapsed_ms", serialize_with = "milliseconds")]
    pub elapsed: Duration,
}

impl StepReport {
    pub(crate) fn new(
        migration: &Migration,
        direction: Direction,
        statements: Vec<StatementReport>,
    ) -> Self {
        Self {
            migration: migration.into(),
            direction,
            elapsed: statements.iter().map(|statement| statement.elapsed).sum(),
            statements,
        }
    }
}

impl fmt::Display for StepReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.direction {
            Direction::Up => "Applied",
            Direction::Down => "Reverted",
        };
        let ms = self.elapsed.as_millis();
        write!(f, "{verb} {} in {ms} ms", self.migration)
    }
}

impl fmt::Display for StatementReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.sql.lines() {
            writeln!(f, "    {}", line.trim_end())?;
        }
        let ms = self.elapsed.as_secs_f64() * 1_000.0;
        let s = if self.rows == 1 { "" } else { "s" };
        writeln!(f, "    -- {} row{s}, {ms:.1} ms", self.rows)
    }
}

impl fmt::Display for RunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = &self.database;
        let is_changed = !self.steps.is_empty() || !self.baselined.is_empty();
        if self.dry_run {
            writeln!(
                f,
                "Dry run: what follows was done to {database} and rolled back"
            )?;
        }
        if self.created {
            writeln!(f, "Created {database}")?;
        } else if !is_changed {
            writeln!(f, "Nothing to do: {database} is already as requested")?;
        }
        for migration in &self.baselined {
            writeln!(f, "Baselined {migration}")?;
        }
        if let Some(backup) = &self.backup {
            writeln!(f, "{backup}")?;
        }
        for step in &self.steps {
            writeln!(f, "{step}")?;
            if self.dry_run {
                for statement in &step.statements {
                    write!(f, "{statement}")?;
                }
            }
        }
        for loss in &self.losses {
            writeln!(f, "Lost {loss}")?;
        }
        if self.orphans > 0 {
            writeln!(
                f,
                "Left unchanged: {} rows that refer to missing rows",
                self.orphans
            )?;
        }
        if self.dry_run {
            writeln!(f, "The database would be at version {}", self.version)?;
            return write_version(f, self.version_before);
        }
        write_version(f, self.version)
    }
}
