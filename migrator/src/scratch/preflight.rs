//! A run done on a scratch database before it is done: the owners before each step, and what
//! vanishes. A script that cannot work fails here, before anything is touched.

use std::sync::Arc;

use super::Scratch;
use crate::{
    error::Error,
    project::migrations::{Direction, Migration, Migrations},
    run::data_loss::{Kept, Trace, Vanished},
    sql,
    sqlite::{
        execute::ignore,
        guard::{Owners, Policy},
        history::Applied,
        schema::Schema,
    },
};

/// What is known of a run before it is done.
#[derive(Debug)]
pub(crate) struct Preflight {
    /// The schema that the database should have before the first step.
    pub(crate) before: Arc<Schema>,
    /// The schema that it should have at the end: for a downgrade, the one that the up
    /// migrations made.
    pub(crate) after: Arc<Schema>,
    /// The owners before each step.
    pub(crate) owners: Vec<Owners>,
    /// The tables and columns that are gone at the end.
    pub(crate) vanished: Vec<Vanished>,
    /// The tables that are still there.
    pub(crate) kept: Vec<Kept>,
}

impl Preflight {
    /// Does the `steps`, all of them in one direction, on what was `applied`.
    ///
    /// # Errors
    ///
    /// Those of the script that fails.
    pub(crate) async fn of(
        known: &Migrations,
        applied: &[Applied],
        steps: &[&Migration],
        direction: Direction,
    ) -> Result<Self, Error> {
        let mut scratch = Scratch::new().await?;
        let mut target = scratch.schema();
        let staying = applied.len().saturating_sub(steps.len());
        let applied = applied.iter().filter_map(|row| known.get(row.number));
        for (at, migration) in applied.enumerate() {
            scratch
                .apply(migration, Direction::Up, Policy::Enforce, ignore)
                .await?;
            if at + 1 == staying {
                target = scratch.schema();
            }
        }
        let before = scratch.schema();
        let mut trace = Trace::new(&before);
        let mut owners = Vec::new();
        for migration in steps {
            owners.push(scratch.owners().clone());
            scratch
                .apply(migration, direction, Policy::Enforce, ignore)
                .await?;
            for statement in sql::statements(migration.script(direction)) {
                trace.follow(statement.text);
            }
            trace.compare(&scratch.schema());
        }
        Ok(Self {
            before,
            after: match direction {
                Direction::Up => scratch.schema(),
                Direction::Down => target,
            },
            owners,
            kept: trace.kept(),
            vanished: trace.vanished,
        })
    }
}
