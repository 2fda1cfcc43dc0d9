//! Tables that a script makes anew under their old names, and what gets lost by it (M009).
//! Knows no database.

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
    sqlite::schema::{Schema, Table},
    state::rename_tracker::RenameTracker,
};

/// What a script does with a table that was there before.
#[derive(Clone, Debug)]
pub(super) struct Rebuild {
    /// What it is called before and afterwards.
    pub(super) table: Name,
    /// What it is called when it is dropped.
    pub(super) old: Name,
    /// The statement that drops it.
    pub(super) dropped: usize,
    /// The statements that copy its rows.
    pub(super) copies: Vec<usize>,
    /// All statements that belong to it.
    pub(super) statements: Vec<usize>,
}

/// A table that a script makes.
#[derive(Debug)]
struct CreatedTable {
    name: Name,
    inserts: Vec<usize>,
    statements: Vec<usize>,
    renamed: bool,
}

/// The tables that a script makes anew. A table that is dropped and made at once under the
/// same name, with nothing copied in between, is another one.
pub(super) fn rebuilds(script: &ParsedScript<'_>, before: &Schema) -> Vec<Rebuild> {
    let mut made: Vec<CreatedTable> = Vec::new();
    let mut tracker = RenameTracker::new(&before.catalog());
    let mut dropped = Vec::new();
    for (at, operation) in script.operations.iter().enumerate() {
        match operation {
            Operation::Create(ObjectKind::Table, name) => made.push(CreatedTable {
                name: name.clone(),
                inserts: Vec::new(),
                statements: vec![at],
                renamed: false,
            }),
            Operation::Insert { table, .. } => {
                if let Some(made) = made.iter_mut().find(|made| made.name == *table) {
                    made.inserts.push(at);
                    made.statements.push(at);
                }
            }
            Operation::RenameTable { from, to } => {
                if let Some(made) = made.iter_mut().find(|made| made.name == *from) {
                    made.name = to.clone();
                    made.renamed = true;
                    made.statements.push(at);
                }
            }
            Operation::Drop(ObjectKind::Table, name) => {
                made.retain(|made| made.name != *name);
                if let Some(tracked) = tracker.table(name) {
                    dropped.push((at, name.clone(), tracked.name.clone()));
                }
            }
            _ => {}
        }
        tracker.apply(operation);
    }
    let rebuild = |(dropped, old, table): (usize, Name, Name)| {
        let made = made.iter().find(|made| made.name == table)?;
        let copies = made.inserts.iter().copied();
        let copies: Vec<_> = copies
            .filter(|at| *at < dropped && reads(script, *at, &old))
            .collect();
        let mut statements = made.statements.clone();
        statements.push(dropped);
        (made.renamed || !copies.is_empty()).then_some(Rebuild {
            table,
            old,
            dropped,
            copies,
            statements,
        })
    };
    dropped.into_iter().filter_map(rebuild).collect()
}

/// Whether an INSERT takes what it inserts from a table.
fn reads(script: &ParsedScript<'_>, statement: usize, table: &Name) -> bool {
    source(script, statement).is_some_and(|source| table.is_in(source))
}

/// What an INSERT inserts.
pub(super) fn source<'a>(script: &ParsedScript<'a>, statement: usize) -> Option<&'a str> {
    match &script.operations[statement] {
        Operation::Insert { source, .. } => script.statements[statement].text.get(*source..),
        _ => None,
    }
}

/// M009: what was there before a script, and is not afterwards, though nothing said so.
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
        add(
            last_change(script, parent),
            format!("{table}.{column} now refers to {parent}, which is not there"),
            "make the new table first, copy, drop the old one, and rename the new one to its name"
                .into(),
        );
    }
    for view in &run.broken_views {
        add(
            last_change(script, view),
            format!("the view {view} no longer works"),
            "drop it first, and make it again at the end".into(),
        );
    }
    for rebuild in rebuilds {
        let marked = |schema: &Schema| {
            let table = schema.tables.get(&rebuild.table);
            table.is_some_and(Table::autoincrement)
        };
        let keeps_mark = script.statements.iter().any(|statement| {
            let mut words = significant_tokens(statement.text).into_iter();
            words.any(|word| word.unquoted().eq_ignore_ascii_case("sqlite_sequence"))
        });
        if marked(before) && marked(after) && !keeps_mark {
            add(
                rebuild.dropped,
                format!("ids of {} that were used may be used again", rebuild.table),
                format!(
                    "before the drop, set the row `{}` of sqlite_sequence to that of `{}`",
                    rebuild.statements_name(script),
                    rebuild.old
                ),
            );
        }
    }
    findings
}

impl Rebuild {
    /// What the new table is called at first.
    fn statements_name(&self, script: &ParsedScript<'_>) -> String {
        let created = self.statements.first().map(|at| &script.operations[*at]);
        match created {
            Some(Operation::Create(_, name)) => name.to_string(),
            _ => self.table.to_string(),
        }
    }
}

/// The indexes and triggers that went with a table or view that is there again.
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
        let anew = rebuilds.iter().find(|rebuild| rebuild.table == *table);
        let at = match anew {
            Some(rebuild) => Some(rebuild.dropped),
            // A view takes its triggers with it.
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
                format!("the {word} {name} goes with the old {table}"),
                format!("make it again at the end, or say `drop {word} {name}`"),
            ));
        }
    }
    findings
}

/// Which column of which table refers to which table that is not there.
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

/// The last statement that drops or renames something of that name, or else the last that
/// names it.
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
