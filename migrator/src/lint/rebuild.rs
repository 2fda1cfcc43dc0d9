//! Finds the rebuilds of tables in a script, and the objects that they lose (M009). Knows no
//! database.

use std::collections::BTreeSet;

use super::{
    finding::{Finding, LintCode},
    script::ParsedScript,
};
use crate::{
    scratch::ScriptRun,
    sql::{
        name::{Name, ObjectKind},
        operation::Operation,
        significant_tokens,
    },
    sqlite::{
        schema::{Schema, Table},
        usability::UnusableObject,
    },
    state::rename_tracker::RenameTracker,
};

/// A rebuild: the script creates a table, copies the rows, and drops the old table.
#[derive(Clone, Debug)]
pub(super) struct Rebuild {
    /// The name before the script.
    pub(super) before: Name,
    /// The name after the script.
    pub(super) table: Name,
    /// The name of the old table when it is dropped.
    pub(super) old: Name,
    /// The statement that drops the old table.
    pub(super) dropped: usize,
    /// The statements that copy the rows.
    pub(super) copies: Vec<usize>,
    /// All statements of the rebuild.
    pub(super) statements: Vec<usize>,
}

/// A table that the script creates.
#[derive(Debug)]
struct CreatedTable {
    name: Name,
    inserts: Vec<usize>,
    statements: Vec<usize>,
    renamed: bool,
}

/// Returns the rebuilds of a script. A table that is dropped and created under the same name
/// without copying rows is a new table.
pub(super) fn rebuilds(script: &ParsedScript<'_>, before: &Schema) -> Vec<Rebuild> {
    let mut created: Vec<CreatedTable> = Vec::new();
    let mut tracker = RenameTracker::new(&before.catalog());
    let mut dropped = Vec::new();
    for (at, operation) in script.operations.iter().enumerate() {
        match operation {
            Operation::Create(ObjectKind::Table, name) => created.push(CreatedTable {
                name: name.clone(),
                inserts: Vec::new(),
                statements: vec![at],
                renamed: false,
            }),
            Operation::Insert { table, .. } => {
                if let Some(new) = created.iter_mut().find(|new| new.name == *table) {
                    new.inserts.push(at);
                    new.statements.push(at);
                }
            }
            Operation::RenameTable { from, to } => {
                if let Some(new) = created.iter_mut().find(|new| new.name == *from) {
                    new.name = to.clone();
                    new.renamed = true;
                    new.statements.push(at);
                }
            }
            Operation::Drop(ObjectKind::Table, name) => {
                created.retain(|new| new.name != *name);
                if let Some(tracked) = tracker.table(name) {
                    dropped.push((at, name.clone(), tracked.name.clone()));
                }
            }
            _ => {}
        }
        tracker.apply(operation);
    }
    let rebuild = |(dropped, old, before): (usize, Name, Name)| {
        // The new table has the name that the old one had first, or when it was dropped.
        let replaces = |new: &&CreatedTable| new.name == before || new.name == old;
        let new = created.iter().find(replaces)?;
        let copies = new.inserts.iter().copied();
        let copies: Vec<_> = copies
            .filter(|at| *at < dropped && reads(script, *at, &old))
            .collect();
        let mut statements = new.statements.clone();
        statements.push(dropped);
        (new.renamed || !copies.is_empty()).then_some(Rebuild {
            before,
            table: new.name.clone(),
            old,
            dropped,
            copies,
            statements,
        })
    };
    dropped.into_iter().filter_map(rebuild).collect()
}

/// Reports whether an INSERT reads from a table.
fn reads(script: &ParsedScript<'_>, statement: usize, table: &Name) -> bool {
    source(script, statement).is_some_and(|source| table.is_in(source))
}

/// Returns the source of an INSERT: VALUES or a SELECT.
pub(super) fn source<'a>(script: &ParsedScript<'a>, statement: usize) -> Option<&'a str> {
    match &script.operations[statement] {
        Operation::Insert { source, .. } => script.statements[statement].text.get(*source..),
        _ => None,
    }
}

/// M009: returns the objects and sequences that a script lost without dropping them.
pub(super) fn lost_objects(
    script: &ParsedScript<'_>,
    run: &ScriptRun<'_>,
    rebuilds: &[Rebuild],
) -> Vec<Finding> {
    let (before, after) = (&*run.before, &*run.after);
    let mut findings = objects_dropped_with_table(script, run, rebuilds);
    let mut add = |at: usize, message: String, remedy: String| {
        findings.push(script.finding(LintCode::Rebuild, at, message, remedy));
    };
    for (table, column, parent) in dangling(after).difference(&dangling(before)) {
        // A new reference is a fault of the declaration (M011).
        let referred = before.tables.get(table).is_some_and(|table| {
            let mut keys = table.foreign_keys.iter();
            keys.any(|key| key.columns.first() == Some(column))
        });
        if !referred {
            continue;
        }
        add(
            last_change(script, parent),
            format!("{table}.{column} now refers to the missing table {parent}"),
            "create the new table first, copy, drop the old one, and rename the new one".into(),
        );
    }
    let dangling = dangling(after);
    let is_dangling = |object: &&UnusableObject| {
        let mut tables = dangling.iter().map(|(table, ..)| table);
        object.kind == ObjectKind::Table && tables.any(|table| *table == object.name)
    };
    for object in run.broken.iter().filter(|object| !is_dangling(object)) {
        let UnusableObject {
            kind,
            name,
            message,
        } = object;
        add(
            last_change(script, name),
            format!("the {kind} {name} no longer works: {message}"),
            "drop it first, and recreate it at the end".into(),
        );
    }
    for rebuild in rebuilds {
        let autoincrements = |schema: &Schema, table: &Name| {
            let table = schema.tables.get(table);
            table.is_some_and(Table::autoincrement)
        };
        let keeps_sequence = script.statements.iter().any(|statement| {
            let mut words = significant_tokens(statement.text).into_iter();
            words.any(|word| word.unquoted().eq_ignore_ascii_case("sqlite_sequence"))
        });
        let had_sequence = autoincrements(before, &rebuild.before);
        if had_sequence && autoincrements(after, &rebuild.table) && !keeps_sequence {
            add(
                rebuild.dropped,
                format!("deleted ids of {} may be assigned again", rebuild.table),
                format!(
                    "before the drop, set the row `{}` of sqlite_sequence to that of `{}`",
                    rebuild.new_table_name(script),
                    rebuild.old
                ),
            );
        }
    }
    findings
}

impl Rebuild {
    /// Returns the initial name of the new table.
    fn new_table_name(&self, script: &ParsedScript<'_>) -> String {
        let created = self.statements.first().map(|at| &script.operations[*at]);
        match created {
            Some(Operation::Create(_, name)) => name.to_string(),
            _ => self.table.to_string(),
        }
    }
}

/// Returns the indexes and triggers that were dropped with a recreated table or view.
fn objects_dropped_with_table(
    script: &ParsedScript<'_>,
    run: &ScriptRun<'_>,
    rebuilds: &[Rebuild],
) -> Vec<Finding> {
    let (before, after) = (&*run.before, &*run.after);
    let indexes = before.indexes.iter().map(|(name, index)| {
        let kept = after.indexes.contains_key(name);
        (ObjectKind::Index, "index", name, &index.table, kept)
    });
    let triggers = before.triggers.iter().map(|(name, trigger)| {
        let kept = after.triggers.contains_key(name);
        (ObjectKind::Trigger, "trigger", name, &trigger.table, kept)
    });
    let mut findings = Vec::new();
    for (kind, word, name, table, kept) in indexes.chain(triggers) {
        if kept
            || script
                .operations
                .contains(&Operation::Drop(kind, name.clone()))
        {
            continue;
        }
        let rebuild = rebuilds.iter().find(|rebuild| rebuild.before == *table);
        let at = match rebuild {
            Some(rebuild) => Some(rebuild.dropped),
            // Dropping a view drops its triggers.
            None if after.views.contains_key(table) => {
                let drop = Operation::Drop(ObjectKind::View, table.clone());
                script
                    .operations
                    .iter()
                    .position(|operation| *operation == drop)
            }
            None => None,
        };
        if let Some(at) = at {
            findings.push(script.finding(
                LintCode::Rebuild,
                at,
                format!("the {word} {name} is dropped with the old {table}"),
                format!("recreate it at the end, or write `drop {word} {name}`"),
            ));
        }
    }
    findings
}

/// Returns the foreign keys to missing tables: table, column, missing table.
fn dangling(schema: &Schema) -> BTreeSet<(Name, Name, Name)> {
    let mut dangling = BTreeSet::new();
    for table in schema.tables.values() {
        for key in &table.foreign_keys {
            if !schema.tables.contains_key(&key.table) {
                let columns = key.columns.first();
                dangling.extend(
                    columns.map(|column| (table.name.clone(), column.clone(), key.table.clone())),
                );
            }
        }
    }
    dangling
}

/// Returns the last statement that drops or renames an object of this name, otherwise the last one
/// that names it.
fn last_change(script: &ParsedScript<'_>, name: &Name) -> usize {
    let changes = |operation: &Operation| match operation {
        Operation::Drop(_, dropped) => dropped == name,
        Operation::RenameTable { from, to } => from == name || to == name,
        _ => false,
    };
    let names = || {
        let mut statements = script.statements.iter();
        statements.rposition(|statement| name.is_in(statement.text))
    };
    let structural = |operation: &Operation| {
        matches!(
            operation,
            Operation::Drop(..) | Operation::RenameTable { .. } | Operation::DropColumn { .. }
        )
    };
    let last = script.operations.iter().rposition(changes).or_else(names);
    last.or_else(|| script.operations.iter().rposition(structural))
        .unwrap_or(0)
}
