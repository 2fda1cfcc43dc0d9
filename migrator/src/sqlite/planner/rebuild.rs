//! Table rebuilds: a new table replaces the old one and takes its rows.
//!
//! The new table is created beside the old one and renamed last. If the old one were renamed
//! away first, SQLite would make foreign keys and views follow it.

use super::{error::Error, plan::Step, row_copy, script::create_table, transition::Transition};
use crate::{
    project::migrations::Direction,
    sql::{destructive_change::DestructiveChange, name::Name},
    sqlite::schema::Table,
};

/// Returns the steps that rebuild `before`, already under its new name, as `after`. Indexes,
/// views and triggers are not included.
pub(super) fn steps(
    transition: &Transition<'_>,
    before: &Table,
    after: &Table,
) -> Result<Vec<Step>, Error> {
    let copy = row_copy::row_copy(transition.to, before, after, transition.direction)?;
    let new = free_name(transition, &after.name);
    let (old, new) = (&before.name, &new);
    let losses = losses(before, after);

    let mut comments = vec![format!(
        "-- SQLite cannot make this change to {} in place: it is rebuilt, and its rows are copied.",
        after.name.quoted()
    )];
    if transition.direction == Direction::Up && !copy.null_replaced.is_empty() {
        comments.push(format!(
            "-- Rows without a value get the default: {}.",
            list(&copy.null_replaced)
        ));
    }
    comments.extend((!copy.null_rejected.is_empty()).then(|| {
        let columns = list(&copy.null_rejected);
        format!("-- Fails if a row has NULL in a column that rejects it now: {columns}.")
    }));
    comments.extend(cautions(transition, before, after, &copy));
    let create = Step::new(vec![create_table(after, new)]).with_comments(comments);

    let (columns, values): (Vec<_>, Vec<_>) = copy.columns.into_iter().unzip();
    let order = row_copy::order(before, after);
    let order = order.map_or_else(String::new, |order| format!("\n{order}"));
    let copy_rows = Step::new(vec![format!(
        "insert into {} ({})\nselect {}\nfrom {}{order}",
        new.quoted(),
        columns.join(", "),
        values.join(", "),
        old.quoted()
    )]);

    let check_count = Step::new(vec![format!(
        "select iif(\n    (select count(*) from {}) = (select count(*) from {}),\n    \
         'all rows were copied',\n    json('not all rows were copied')\n)",
        new.quoted(),
        old.quoted()
    )])
    .with_comments(vec![
        "-- Fails the migration unless the new table has as many rows as the old one.".to_owned(),
    ]);

    let mut steps = vec![create, copy_rows, check_count];
    if before.autoincrement() && after.autoincrement() {
        steps.push(copy_sequence(old, new));
    }
    steps.push(Step::new(vec![format!("drop table {}", old.quoted())]).with_losses(losses));
    steps.push(Step::new(vec![format!(
        "alter table {} rename to {}",
        new.quoted(),
        after.name.quoted()
    )]));
    Ok(steps)
}

/// Copies the AUTOINCREMENT sequence. SQLite stores it under the table's name at creation.
fn copy_sequence(old: &Name, new: &Name) -> Step {
    let text = |name: &Name| format!("'{}'", name.spelled().replace('\'', "''"));
    let (old, new) = (text(old), text(new));
    Step::new(vec![
        format!("delete from sqlite_sequence\nwhere name = {new}"),
        format!(
            "insert into sqlite_sequence (name, seq)\nselect {new}, seq\nfrom sqlite_sequence\n\
             where name = {old}"
        ),
    ])
    .with_comments(vec![
        "-- Keeps the AUTOINCREMENT sequence: ids of deleted rows are not reused.".to_owned(),
    ])
}

/// Returns `new_x`, or a longer name if that is taken.
fn free_name(transition: &Transition<'_>, table: &Name) -> Name {
    let taken = |name: &Name| {
        let schemas = [transition.from, transition.to];
        schemas.iter().any(|schema| {
            schema.tables.contains_key(name)
                || schema.indexes.contains_key(name)
                || schema.views.contains_key(name)
        })
    };
    let mut name = Name::new(&format!("new_{}", table.spelled()));
    while taken(&name) {
        name = Name::new(&format!("new_{}", name.spelled()));
    }
    name
}

fn losses(before: &Table, after: &Table) -> Vec<DestructiveChange> {
    let mut losses = Vec::new();
    for column in &before.columns {
        let name = (after.name.clone(), column.name.clone());
        match after.column(&column.name) {
            None => losses.push(DestructiveChange::Column(name.0, name.1)),
            Some(is) if row_copy::may_change(before, column, after, is) => {
                losses.push(DestructiveChange::Values(name.0, name.1));
            }
            Some(_) => {}
        }
    }
    if before.autoincrement() && !after.autoincrement() {
        losses.push(DestructiveChange::Sequence(after.name.clone()));
    }
    losses
}

fn list(names: &[Name]) -> String {
    let names: Vec<_> = names.iter().map(Name::quoted).collect();
    names.join(", ")
}

/// Returns the warnings for a reviewer about placeholder values.
fn cautions(
    transition: &Transition<'_>,
    before: &Table,
    after: &Table,
    copy: &row_copy::RowCopy,
) -> Vec<String> {
    let mut cautions = Vec::new();
    if transition.direction == Direction::Up {
        return cautions;
    }
    if !copy.without_old_values.is_empty() {
        cautions.push(format!(
            "-- Placeholders, since the values were not kept: {}.",
            list(&copy.without_old_values)
        ));
    }
    if !copy.null_replaced.is_empty() {
        cautions.push(format!(
            "-- Placeholders where the value is NULL: {}.",
            list(&copy.null_replaced)
        ));
    }
    // A default or NULL is not a placeholder, but it differs from the old value too.
    let returned =
        |name: &&Name| before.column(name).is_none() && !copy.without_old_values.contains(name);
    let names = after.columns.iter().map(|column| &column.name);
    let returned = names.filter(returned).filter(|name| {
        row_copy::is_in_computed_key(transition.to, after, name)
            || after
                .column(name)
                .is_some_and(|column| column.default.is_some())
    });
    for name in copy
        .without_old_values
        .iter()
        .chain(&copy.null_replaced)
        .chain(returned)
    {
        for check in after
            .checks
            .iter()
            .filter(|check| name.is_in(&check.expression))
        {
            cautions.push(format!(
                "-- Fails on rows whose {} violates check ({}).",
                name.quoted(),
                check.expression
            ));
        }
        if row_copy::is_in_computed_key(transition.to, after, name) {
            cautions.push(format!(
                "-- Fails on rows with equal values in a unique key that is computed from {}.",
                name.quoted()
            ));
        }
        for key in after
            .foreign_keys
            .iter()
            .filter(|key| key.columns.contains(name))
        {
            cautions.push(format!(
                "-- Fails on rows whose {} refers to no row of {}.",
                name.quoted(),
                key.table.quoted()
            ));
        }
    }
    cautions
}
