//! Executes a run on a scratch database first, and derives the owners before each step and the
//! dropped objects. An invalid script fails here, before the live database is touched.

use super::Scratch;
use crate::{
    error::Error,
    project::migrations::{Direction, Migration, Migrations},
    sql::{self, operation::Operation},
    sqlite::{execute::no_observer, guard::Policy},
    state::{
        catalog::Catalog,
        history::AppliedMigration,
        owners::Owners,
        rename_tracker::{DroppedObject, RenameTracker, SurvivingTable},
    },
};

/// The predicted effects of a run.
#[derive(Debug)]
pub(crate) struct Preflight {
    /// The expected schema before the first step.
    pub(crate) before: Catalog,
    /// The expected schema at the end. For a downgrade, the one that the up migrations produce.
    pub(crate) after: Catalog,
    /// The owners before each step.
    pub(crate) owners: Vec<Owners>,
    /// The tables and columns that the run drops.
    pub(crate) dropped: Vec<DroppedObject>,
    /// The tables that the run keeps.
    pub(crate) surviving: Vec<SurvivingTable>,
}

impl Preflight {
    /// Replays the `applied` migrations and executes the `steps`, all in one direction.
    ///
    /// # Errors
    ///
    /// Those of the failing script.
    pub(crate) async fn run(
        known: &Migrations,
        applied: &[AppliedMigration],
        steps: &[&Migration],
        direction: Direction,
    ) -> Result<Self, Error> {
        let mut scratch = Scratch::new().await?;
        let mut target = scratch.schema();
        let remaining = applied.len().saturating_sub(steps.len());
        let applied = applied.iter().filter_map(|row| known.get(row.number));
        for (at, migration) in applied.enumerate() {
            scratch
                .apply(migration, Direction::Up, Policy::Enforce, no_observer)
                .await?;
            if at + 1 == remaining {
                target = scratch.schema();
            }
        }
        let before = scratch.schema().catalog();
        let mut tracker = RenameTracker::new(&before);
        let mut dropped = Vec::new();
        let mut owners = Vec::new();
        for migration in steps {
            owners.push(scratch.owners().clone());
            scratch
                .apply(migration, direction, Policy::Enforce, no_observer)
                .await?;
            for statement in sql::statements(migration.script(direction)) {
                dropped.extend(tracker.rename(&Operation::classify(statement.text)));
            }
            dropped.extend(tracker.retain(&scratch.schema().catalog()));
        }
        Ok(Self {
            before,
            after: match direction {
                Direction::Up => scratch.schema().catalog(),
                Direction::Down => target.catalog(),
            },
            owners,
            surviving: tracker.surviving(),
            dropped,
        })
    }
}
