//! What a run did and what a database is like, as values and as text for people. Knows
//! no SQL.

use std::{fmt, path::PathBuf, time::Duration};

use crate::{
    history::Applied,
    migrations::{Direction, Migration},
    plan,
};

/// A migration as people know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its place in the sequence, from 1.
    pub number: i64,
    /// What it does, in words joined by `_`.
    pub name: String,
    /// The service whose tables it changes, or `None` if this program does not have it.
    pub owner: Option<String>,
}

impl From<&Migration> for Subject {
    fn from(migration: &Migration) -> Self {
        Self {
            number: migration.number(),
            name: migration.name().to_owned(),
            owner: Some(migration.owner().to_owned()),
        }
    }
}

/// What a run did. Its text ends with the version.
#[derive(Clone, Debug)]
pub struct Report {
    /// The file.
    pub database: PathBuf,
    /// Whether the run made the database.
    pub created: bool,
    /// What was applied or undone, in order.
    pub steps: Vec<Step>,
    /// The number of the newest migration that is applied now, or 0.
    pub version: i64,
}

/// One migration that a run applied or undid.
#[derive(Clone, Debug)]
pub struct Step {
    /// Which.
    pub migration: Subject,
    /// Whether it was applied or undone.
    pub direction: Direction,
    /// How long its script took.
    pub elapsed: Duration,
}

impl Step {
    pub(crate) fn new(migration: &Migration, direction: Direction, elapsed: Duration) -> Self {
        Self {
            migration: migration.into(),
            direction,
            elapsed,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Subject {
            number,
            name,
            owner,
        } = &self.migration;
        let did = match self.direction {
            Direction::Up => "Applied",
            Direction::Down => "Undone",
        };
        let owner = owner.as_deref().unwrap_or(UNKNOWN);
        write!(
            f,
            "{did} {number:04} {name} ({owner}) in {} ms",
            self.elapsed.as_millis()
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = self.database.display();
        if self.created {
            writeln!(f, "Created {database}")?;
        } else if self.steps.is_empty() {
            writeln!(f, "Nothing to do: {database} is there and as asked for")?;
        }
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        write_version(f, self.version)
    }
}

/// Which migrations are applied to a database and which are not. Its text is a table
/// that ends with the version.
#[derive(Clone, Debug)]
pub struct Status {
    /// The file.
    pub database: PathBuf,
    /// Every migration of this program and of the history, in ascending order.
    pub migrations: Vec<(Subject, State)>,
    /// The number of the newest migration that is applied, or 0.
    pub version: i64,
}

/// What a migration is to a database. The times are RFC 3339, UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Not applied yet.
    Pending,
    /// Applied at that time.
    Applied(String),
    /// Applied at that time, and its file is not what it was.
    Changed(String),
    /// Applied at that time, and unknown to this program.
    Missing(String),
}

impl State {
    fn word(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Applied(_) => "applied",
            Self::Changed(_) => "changed",
            Self::Missing(_) => "missing",
        }
    }

    fn time(&self) -> &str {
        match self {
            Self::Pending => "",
            Self::Applied(time) | Self::Changed(time) | Self::Missing(time) => time,
        }
    }
}

impl Status {
    pub(crate) fn new<'a>(
        database: PathBuf,
        known: impl Iterator<Item = &'a Migration>,
        history: &[Applied],
    ) -> Self {
        let mut unknown: Vec<_> = history.iter().collect();
        let mut migrations = Vec::new();
        for migration in known {
            let applied = unknown
                .iter()
                .position(|applied| applied.number == migration.number());
            let state = match applied.map(|index| unknown.remove(index)) {
                None => State::Pending,
                Some(applied) if applied.checksum == migration.checksum() => {
                    State::Applied(applied.time.clone())
                }
                Some(applied) => State::Changed(applied.time.clone()),
            };
            migrations.push((Subject::from(migration), state));
        }
        for applied in unknown {
            let subject = Subject {
                number: applied.number,
                name: applied.name.clone(),
                owner: None,
            };
            migrations.push((subject, State::Missing(applied.time.clone())));
        }
        migrations.sort_by_key(|(subject, _)| subject.number);
        Self {
            database,
            migrations,
            version: plan::version(history),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Database: {}\n", self.database.display())?;

        let mut rows = vec![["number", "name", "owner", "state", "applied at"].map(String::from)];
        for (
            Subject {
                number,
                name,
                owner,
            },
            state,
        ) in &self.migrations
        {
            rows.push([
                format!("{number:04}"),
                name.clone(),
                owner.as_deref().unwrap_or(UNKNOWN).to_owned(),
                state.word().to_owned(),
                state.time().to_owned(),
            ]);
        }
        let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
        let widths: [usize; 5] = std::array::from_fn(width);
        for row in &rows {
            let cells: Vec<_> = row
                .iter()
                .zip(widths)
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            writeln!(f, "{}", cells.join("  ").trim_end())?;
        }

        writeln!(f)?;
        write_version(f, self.version)
    }
}

/// What stands for the owner of a migration that this program does not have.
const UNKNOWN: &str = "unknown";

/// The line that every command ends with.
fn write_version(f: &mut fmt::Formatter<'_>, version: i64) -> fmt::Result {
    writeln!(f, "Current database version: {version}")
}
