//! A run done in memory before it is done: who owns what before each step, and what
//! vanishes. A script that cannot work fails here, before anything is touched.

use crate::{
    error::Error,
    project::migrations::{Direction, Migration, Migrations},
    run::data_loss::{Kept, Trace, Vanished},
    scratch::replay::Memory,
    sql,
    sqlite::{
        guard::Owners,
        history::Applied,
        schema::{Schema, inventory::Inventory},
    },
};

/// What is known of a run before it is done.
#[derive(Debug, Default)]
pub(crate) struct Rehearsal {
    /// What there should be before the first step.
    pub(crate) before: Schema,
    /// What there should be at the end: for a way down, what the ways up to there made.
    pub(crate) after: Schema,
    /// Who owns what before each step.
    pub(crate) owners: Vec<Owners>,
    /// The tables and columns that are gone at the end.
    pub(crate) vanished: Vec<Vanished>,
    /// The tables that are still there.
    pub(crate) kept: Vec<Kept>,
}

impl Rehearsal {
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
        let mut memory = Memory::new().await?;
        let result = rehearse(&mut memory, known, applied, steps, direction).await;
        memory.close().await;
        result
    }
}

async fn rehearse(
    memory: &mut Memory,
    known: &Migrations,
    applied: &[Applied],
    steps: &[&Migration],
    direction: Direction,
) -> Result<Rehearsal, Error> {
    let mut inventory = Inventory::default();
    let staying = applied.len().saturating_sub(steps.len());
    let mut target = Schema::default();
    let mut done = 0;
    for migration in applied
        .iter()
        .filter_map(|applied| known.get(applied.number))
    {
        inventory = memory.step(migration, Direction::Up).await?;
        done += 1;
        if done == staying {
            target = memory.schema().await?;
        }
    }
    let mut trace = Trace::new(&inventory);
    let mut rehearsal = Rehearsal {
        before: memory.schema().await?,
        ..Rehearsal::default()
    };
    for migration in steps {
        rehearsal.owners.push(memory.owners().clone());
        inventory = memory.step(migration, direction).await?;
        for statement in sql::statements(migration.script(direction)) {
            trace.follow(statement.text);
        }
        trace.compare(&inventory);
    }
    rehearsal.after = match direction {
        Direction::Up => memory.schema().await?,
        Direction::Down => target,
    };
    rehearsal.kept = trace.kept();
    rehearsal.vanished = trace.vanished;
    Ok(rehearsal)
}
