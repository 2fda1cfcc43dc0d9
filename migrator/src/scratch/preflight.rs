//! A run done on a scratch database before it is done: the owners before each step, and what
//! vanishes. A script that cannot work fails here, before anything is touched.

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

/// What is known of a run before it is done.
#[derive(Debug)]
pub(crate) struct Preflight {
    /// The schema that the database should have before the first step.
    pub(crate) before: Catalog,
    /// The schema that it should have at the end: for a downgrade, the one that the up
    /// migrations made.
    pub(crate) after: Catalog,
    /// The owners before each step.
    pub(crate) owners: Vec<Owners>,
    /// The tables and columns that are gone at the end.
    pub(crate) dropped: Vec<DroppedObject>,
    /// The tables that are still there.
    pub(crate) surviving: Vec<SurvivingTable>,
}

impl Preflight {
    /// Does the `steps`, all of them in one direction, on what was `applied`.
    ///
    /// # Errors
    ///
    /// Those of the script that fails.
    pub(crate) async fn run(
        known: &Migrations,
        applied: &[AppliedMigration],
        steps: &[&Migration],
        direction: Direction,
    ) -> Result<Self, Error> {
        let mut scratch = Scratch::new().await?;
        let mut target = scratch.schema();
        let staying = applied.len().saturating_sub(steps.len());
        let applied = applied.iter().filter_map(|row| known.get(row.number));
        for (at, migration) in applied.enumerate() {
            scratch
                .apply(migration, Direction::Up, Policy::Enforce, no_observer)
                .await?;
            if at + 1 == staying {
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
