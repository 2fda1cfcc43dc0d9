//! The steps of a run: its migrations, direction and versions. Knows no SQL.

use super::{options::Run, plan};
use crate::{
    error::run::RunError,
    project::migrations::{Direction, Migration, Migrations},
    sql::directives,
    state::history::AppliedMigration,
};

/// The migrations of a run, all in one direction.
#[derive(Debug)]
pub(super) struct Steps<'a> {
    pub(super) direction: Direction,
    /// In the order of execution.
    pub(super) migrations: Vec<&'a Migration>,
    /// The version before the run.
    pub(super) from: i64,
    /// The version after the run.
    pub(super) to: i64,
}

impl<'a> Steps<'a> {
    /// Plans a run on what was `applied`.
    ///
    /// # Errors
    ///
    /// Those of [`plan::upgrade`] and [`plan::downgrade`].
    pub(super) fn plan(
        known: &'a Migrations,
        applied: &[AppliedMigration],
        run: Run,
    ) -> Result<Self, plan::PlanError> {
        let from = plan::version(applied);
        let (migrations, to) = match run.direction {
            Direction::Up => {
                let migrations = plan::upgrade(known, applied, run.to)?;
                let to = migrations.last().map_or(from, |newest| newest.number());
                (migrations, to)
            }
            Direction::Down => {
                let migrations = plan::downgrade(known, applied, run.to)?;
                let left = applied.len().saturating_sub(migrations.len());
                (migrations, plan::version(&applied[..left]))
            }
        };
        Ok(Self {
            direction: run.direction,
            migrations,
            from,
            to,
        })
    }

    /// Returns the reason of the backup.
    pub(super) fn reason(&self) -> String {
        let Self { from, to, .. } = self;
        let kind = match self.direction {
            Direction::Up => "upgrade",
            Direction::Down => "downgrade",
        };
        format!("before the {kind} from {from} to {to}")
    }

    /// Refuses to revert an irreversible migration.
    pub(super) fn refuse_irreversible(&self) -> Result<(), RunError> {
        match self.irreversible().next() {
            None => Ok(()),
            Some((migration, reason)) => Err(RunError::Irreversible {
                number: migration.number(),
                name: migration.name().to_owned(),
                reason: reason.to_owned(),
            }),
        }
    }

    /// Reports whether the run reverts an irreversible migration.
    pub(super) fn are_irreversible(&self) -> bool {
        self.irreversible().next().is_some()
    }

    /// Returns the down migrations that are marked as irreversible, with their reasons.
    fn irreversible(&self) -> impl Iterator<Item = (&'a Migration, &'a str)> {
        let down = self.direction == Direction::Down;
        let migrations = self.migrations.iter().filter(move |_| down);
        migrations.filter_map(|migration| {
            let reason = directives::irreversible(migration.script(Direction::Down))?;
            Some((*migration, reason))
        })
    }
}
