//! What a run did and what a database is like, as values and as text for people. Knows
//! no SQL.

pub(crate) mod progress;
mod status;
pub(crate) mod table;

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};

pub use self::status::{MigrationState, MigrationStatus, Status};
use crate::{
    error::exit::Exit,
    project::migrations::{Direction, Migration},
    run::data_loss::DataLoss,
    sqlite::backup::Backup,
    state::{catalog::Difference, database_name::DatabaseName, history::AppliedMigration},
};

/// A migration as people know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MigrationRef {
    /// Its place in the sequence, from 1.
    pub number: i64,
    /// What it does, in words joined by `_`.
    pub name: String,
    /// The service whose tables it changes, or `None` if this program does not have it.
    pub owner: Option<String>,
}

impl From<&Migration> for MigrationRef {
    fn from(migration: &Migration) -> Self {
        Self {
            number: migration.number(),
            name: migration.name().to_owned(),
            owner: Some(migration.owner().to_owned()),
        }
    }
}

impl From<&AppliedMigration> for MigrationRef {
    fn from(applied: &AppliedMigration) -> Self {
        Self {
            number: applied.number,
            name: applied.name.clone(),
            owner: None,
        }
    }
}

impl MigrationRef {
    fn owner(&self) -> &str {
        self.owner.as_deref().unwrap_or(UNKNOWN)
    }
}

impl fmt::Display for MigrationRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04} {} ({})", self.number, self.name, self.owner())
    }
}

/// What a run did. Its text ends with the version.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// Its name.
    pub database: DatabaseName,
    /// Whether all of it was undone at the end, as was asked for.
    pub dry_run: bool,
    /// Whether the run made the database.
    pub created: bool,
    /// What was there already, and is now known to be.
    pub adopted: Vec<MigrationRef>,
    /// The state before, if there was one and it was to be kept.
    pub backup: Option<Backup>,
    /// What was applied or undone, in order.
    pub steps: Vec<StepReport>,
    /// How long the write lock was held, from the beginning of the transaction to its end.
    #[serde(skip)]
    pub locked: Duration,
    /// What had values in it and is gone.
    pub losses: Vec<DataLoss>,
    /// How many rows referred to rows that were not there, before the run.
    pub orphans: usize,
    /// The number of the newest migration that was applied before, or 0.
    pub version_before: i64,
    /// The number of the newest migration that is applied now, or 0. Of a dry run: that
    /// would be.
    pub version: i64,
}

/// One migration that a run applied or undid.
#[derive(Clone, Debug, Serialize)]
pub struct StepReport {
    /// Which.
    pub migration: MigrationRef,
    /// Whether it was applied or undone.
    pub direction: Direction,
    /// Its statements, in order.
    pub statements: Vec<StatementReport>,
    /// How long its script took.
    #[serde(rename = "elapsed_ms", serialize_with = "milliseconds")]
    pub elapsed: Duration,
}

/// One statement of a script.
#[derive(Clone, Debug, Serialize)]
pub struct StatementReport {
    /// Where it begins in its script, from 1.
    pub line: usize,
    /// Without the comments before it and without the semicolon.
    pub sql: String,
    /// How many rows it inserted, updated and deleted.
    pub rows: i64,
    /// How long it took.
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
            elapsed: statements.iter().map(|executed| executed.elapsed).sum(),
            statements,
        }
    }
}

impl fmt::Display for StepReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let did = match self.direction {
            Direction::Up => "Applied",
            Direction::Down => "Reverted",
        };
        let ms = self.elapsed.as_millis();
        write!(f, "{did} {} in {ms} ms", self.migration)
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
        let done = !self.steps.is_empty() || !self.adopted.is_empty();
        if self.dry_run {
            writeln!(
                f,
                "Dry run: what follows was done to {database} and rolled back"
            )?;
        }
        if self.created {
            writeln!(f, "Created {database}")?;
        } else if !done {
            writeln!(f, "Nothing to do: {database} is there and as asked for")?;
        }
        for adopted in &self.adopted {
            writeln!(f, "Baselined {adopted}")?;
        }
        if let Some(backup) = &self.backup {
            writeln!(f, "{backup}")?;
        }
        for step in &self.steps {
            writeln!(f, "{step}")?;
            if self.dry_run {
                for executed in &step.statements {
                    write!(f, "{executed}")?;
                }
            }
        }
        for loss in &self.losses {
            writeln!(f, "Lost {loss}")?;
        }
        if self.orphans > 0 {
            writeln!(
                f,
                "Left as they were: {} rows that refer to rows that are not there",
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

/// A database that is there.
#[derive(Clone, Debug, Serialize)]
pub struct WaitReport {
    /// Its name.
    pub database: DatabaseName,
    /// The number of the newest migration that is applied, or 0.
    pub version: i64,
}

impl fmt::Display for WaitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_version(f, self.version)
    }
}

/// A schema as a script that makes it.
#[derive(Clone, Debug, Serialize)]
pub struct Dump {
    /// The script.
    pub ddl: String,
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.ddl)
    }
}

/// How a live schema differs from that of its version.
#[derive(Clone, Debug, Serialize)]
pub struct DriftReport {
    /// Its name.
    pub database: DatabaseName,
    /// The version that it is at.
    pub version: i64,
    /// Whether there is any difference.
    pub drift: bool,
    /// Each object that is missing, that should not be there, or that is another.
    pub differences: Vec<Difference>,
    /// What would bring it back, as a script; empty if there is no difference.
    pub ddl: String,
}

impl DriftReport {
    /// 4 if there is a difference.
    #[must_use]
    pub fn exit_code(&self) -> Exit {
        if self.drift { Exit::Drift } else { Exit::Done }
    }
}

/// A script as well: what is no statement is in comments.
impl fmt::Display for DriftReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (database, version) = (&self.database, self.version);
        if !self.drift {
            return writeln!(f, "{database} is as version {version} should be");
        }
        writeln!(f, "-- {database} is not as version {version} should be:")?;
        for difference in &self.differences {
            for line in difference.to_string().lines() {
                writeln!(f, "--   {line}")?;
            }
        }
        if self.ddl.is_empty() {
            return Ok(());
        }
        writeln!(f, "-- This would bring it back:\n")?;
        f.write_str(&self.ddl)
    }
}

/// A duration as JSON has it: milliseconds with a fraction.
fn milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64() * 1_000.0)
}

#[expect(clippy::ref_option, reason = "what serde passes")]
fn optional_milliseconds<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => milliseconds(duration, serializer),
        None => serializer.serialize_none(),
    }
}

/// What stands for the owner of a migration that this program does not have.
const UNKNOWN: &str = "unknown";

/// The line that every command ends with.
fn write_version(f: &mut fmt::Formatter<'_>, version: i64) -> fmt::Result {
    writeln!(f, "Current database version: {version}")
}
