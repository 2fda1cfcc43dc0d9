//! A table made anew in the place of the old one, with its rows.
//!
//! The new one is made beside the old one and renamed at last: were the old one renamed
//! away first, foreign keys and views would go with it. So the foreign keys of other
//! tables go on referring to the name.

use super::{error::Error, plan::Step, row_copy, script::create_table, transition::Transition};
use crate::{
    project::migrations::Direction,
    sql::{destructive_change::DestructiveChange, name::Name},
    sqlite::schema::Table,
};

/// The steps that make `after` of `before`, which has its name already. Indexes, views and
/// triggers are not in them.
pub(super) fn steps(
    transition: &Transition<'_>,
    before: &Table,
    after: &Table,
) -> Result<Vec<Step>, Error> {
    let copy = row_copy::row_copy(transition.to, before, after, transition.direction)?;
    let new = free_name(transition, &after.name);
    let (old, new) = (&before.name, &new);
    let losses = losses(before, after);

    let mut why = vec![format!(
        "-- SQLite cannot change {} so in place: it is made anew, and its rows are copied.",
        after.name.quoted()
    )];
    if transition.direction == Direction::Up && !copy.null_replaced.is_empty() {
        why.push(format!(
            "-- Rows without a value get the default: {}.",
            list(&copy.null_replaced)
        ));
    }
    why.extend(cautions(transition, before, after, &copy));
    let create = Step::new(vec![create_table(after, new)]).with_comments(why);

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
        "-- It fails, and all with it, if the new table has not as many rows as the old one."
            .to_owned(),
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

/// SQLite keeps the mark under the name of the table as it was created.
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
        "-- The id of a row that was deleted is not used again.".to_owned(),
    ])
}

/// `new_x`, or another name if something is called so.
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

/// What a reader has to know of values that are made up.
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
    if !copy.never_stored.is_empty() {
        cautions.push(format!(
            "-- Made up, since it was not kept: {}.",
            list(&copy.never_stored)
        ));
    }
    if !copy.null_replaced.is_empty() {
        cautions.push(format!(
            "-- Made up where there is nothing: {}.",
            list(&copy.null_replaced)
        ));
    }
    // What has its default, or nothing, is not made up; but it is not what was there.
    let returned =
        |name: &&Name| before.column(name).is_none() && !copy.never_stored.contains(name);
    let names = after.columns.iter().map(|column| &column.name);
    let returned = names.filter(returned).filter(|name| {
        row_copy::is_in_computed_key(transition.to, after, name)
            || after
                .column(name)
                .is_some_and(|column| column.default.is_some())
    });
    for name in copy
        .never_stored
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
                "-- It fails on rows whose {} does not fulfil check ({}).",
                name.quoted(),
                check.expression
            ));
        }
        if row_copy::is_in_computed_key(transition.to, after, name) {
            cautions.push(format!(
                "-- It fails on rows that a unique key computed from {} does not tell apart.",
                name.quoted()
            ));
        }
        for key in after
            .foreign_keys
            .iter()
            .filter(|key| key.columns.contains(name))
        {
            cautions.push(format!(
                "-- It fails on rows whose {} refers to nothing in {}.",
                name.quoted(),
                key.table.quoted()
            ));
        }
    }
    cautions
}
