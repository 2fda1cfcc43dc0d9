//! Plans the migration between two schemas: the statements of its up and its down script.
//!
//! It changes a table in place where SQLite can, and rebuilds it otherwise. It knows no database,
//! and never guesses a rename; see [`Renames`].
//!
//! A script drops the triggers, views and indexes that change or block a change, and then the
//! tables that are gone. It renames, creates, alters and rebuilds tables, and at last creates
//! indexes, views and triggers. It runs in a transaction in which foreign keys and
//! `legacy_alter_table` are off, and contains no PRAGMA.

mod affinity;
mod dependents;
mod error;
mod plan;
mod question;
mod rebuild;
mod renamed;
mod renames;
mod risks;
mod row_copy;
mod script;
mod shared_default;
mod table_change;
#[cfg(test)]
pub(crate) mod tests;
mod transition;

pub use self::question::Question;
use self::{
    dependents::DependentObjects,
    plan::Step,
    script::{comments, create_table},
    table_change::TableChange,
    transition::{Transition, by_reference},
};
pub(crate) use self::{error::Error, plan::Plan, renames::Renames};
#[cfg(test)]
pub(crate) use self::{
    question::QuestionKind,
    row_copy::{is_needed, number},
};
use crate::{
    project::migrations::Direction,
    sql::{destructive_change::DestructiveChange, name::Name},
    sqlite::schema::{Column, Schema, Table},
};

/// Plans the up migration from one schema to another.
///
/// # Errors
///
/// [`Error::Ambiguous`] if `renames` leaves a question open, and
/// [`Error::NotNullWithoutDefault`] or [`Error::SharedDefault`] if rows could not be kept.
pub(crate) fn plan(from: &Schema, to: &Schema, renames: &Renames) -> Result<Plan, Error> {
    if let Some(question) = renames.questions(from, to).into_iter().next() {
        return Err(Error::Ambiguous(question));
    }
    steps(&Transition::new(from, to, renames, Direction::Up))
}

/// Plans the down migration from `to` to `from`, after the up migration. Values that were
/// destroyed come back as NULL, or as placeholders where NULL is invalid. The head of the script
/// says so.
///
/// # Errors
///
/// The errors of [`plan()`].
pub(crate) fn plan_down(from: &Schema, to: &Schema, renames: &Renames) -> Result<Plan, Error> {
    let up = plan(from, to, renames)?;
    let back = renames.inverse();
    let transition = Transition::new(to, from, &back, Direction::Down);
    let mut down = steps(&transition)?;
    down.head = script::head(
        &up,
        &down,
        risks::rows(&transition.before.schema, transition.to),
    );
    Ok(down)
}

/// Returns the script that turns a drifted schema into the expected one. It takes nothing for
/// renamed: missing objects are created empty, and additional ones are dropped.
pub(crate) fn drift_fix(drifted: &Schema, expected: &Schema) -> String {
    let renames = Renames::default();
    let plan = steps(&Transition::new(
        drifted,
        expected,
        &renames,
        Direction::Down,
    ));
    plan.map_or_else(|error| format!("-- {error}\n"), |plan| plan.script())
}

/// Returns the steps of a plan, in the order described in the module header.
fn steps(transition: &Transition<'_>) -> Result<Plan, Error> {
    transition.check_renames()?;
    shared_default::reject(transition)?;
    let dependents = DependentObjects::new(transition);
    let mut steps = dependents.drops(transition);
    steps.extend(dropped_tables(transition));
    steps.extend(renames(transition));
    for table in transition.new_tables() {
        let step = Step::new(vec![create_table(table, &table.name)]);
        steps.push(step.with_comments(comments(&table.directives)));
        steps.extend(dependents.indexes(transition, Some(&table.name)));
    }
    for (name, change) in &transition.changes {
        let (Some(before), Some(after)) = (
            transition.before.schema.tables.get(name),
            transition.to.tables.get(name),
        ) else {
            continue;
        };
        match change {
            TableChange::None => {}
            TableChange::InPlace { add, drop } => {
                steps.extend(in_place(before, after, add, drop));
            }
            TableChange::Rebuild => {
                steps.extend(rebuild::steps(transition, before, after)?);
                steps.extend(dependents.indexes(transition, Some(name)));
            }
        }
    }
    steps.extend(dependents.indexes(transition, None));
    steps.extend(dependents.recreates(transition));
    steps.retain(|step| !step.statements.is_empty());
    Ok(Plan {
        head: Vec::new(),
        steps,
    })
}

/// Drops tables, referring tables before the referenced ones.
fn dropped_tables(transition: &Transition<'_>) -> Vec<Step> {
    let mut gone = by_reference(transition.gone_tables().collect());
    gone.reverse();
    let step = |table: &Table| {
        Step::new(vec![format!("drop table {}", table.name.quoted())])
            .with_losses(vec![DestructiveChange::Table(table.name.clone())])
    };
    gone.into_iter().map(step).collect()
}

fn renames(transition: &Transition<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    for (old, new) in transition.renames.tables() {
        let Some(table) = transition.to.tables.get(new) else {
            continue;
        };
        let before = transition
            .from
            .tables
            .get(old)
            .map_or(old, |table| &table.name);
        let (before, after) = (before.quoted(), table.name.quoted());
        let statement = format!("alter table {before} rename to {after}");
        steps.push(Step::new(vec![statement]).with_comments(comments(&table.directives)));
    }
    for (old_table, old, new) in transition.renames.columns() {
        let new_table = transition.renames.table(old_table).unwrap_or(old_table);
        let before = transition
            .from
            .tables
            .get(old_table)
            .and_then(|t| t.column(old));
        let after = transition.to.tables.get(new_table);
        let (Some(before), Some(after)) = (before, after) else {
            continue;
        };
        let Some(column) = after.column(new) else {
            continue;
        };
        let statement = format!(
            "alter table {} rename column {} to {}",
            after.name.quoted(),
            before.name.quoted(),
            column.name.quoted()
        );
        steps.push(Step::new(vec![statement]).with_comments(comments(&column.directives)));
    }
    steps
}

/// Alters a table in place.
fn in_place(before: &Table, after: &Table, add: &[Name], drop: &[Name]) -> Vec<Step> {
    let table = after.name.quoted();
    let mut steps = Vec::new();
    for column in add.iter().filter_map(|name| after.column(name)) {
        let declared = script::column(column);
        let statement = format!("alter table {table} add column {declared}");
        steps.push(Step::new(vec![statement]).with_comments(comments(&column.directives)));
    }
    for Column { name, .. } in drop.iter().filter_map(|name| before.column(name)) {
        let statement = format!("alter table {table} drop column {}", name.quoted());
        let loss = DestructiveChange::Column(after.name.clone(), name.clone());
        steps.push(Step::new(vec![statement]).with_losses(vec![loss]));
    }
    steps
}
