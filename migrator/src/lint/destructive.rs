//! What a script destroys, and whether it says so (M002). Knows no database.

use super::{
    finding::{Finding, LintCode},
    rebuild::{Rebuild, source},
    script::ParsedScript,
};
use crate::{
    sql::{
        Token,
        cursor::Cursor,
        destructive_change::DestructiveChange,
        directives::destroys_comment,
        name::{Name, ObjectKind},
        operation::Operation,
        significant_tokens,
    },
    sqlite::schema::Schema,
    state::rename_tracker::{RenameTracker, TrackedTable},
};

/// M002: what is destroyed without its directive.
///
/// A table that is rebuilt stays, as far as its rows and columns are copied. What the
/// script itself has made may go.
pub(super) fn losses(
    script: &ParsedScript<'_>,
    before: &Schema,
    rebuilds: &[Rebuild],
) -> Vec<Finding> {
    let mut losses = Losses {
        script,
        findings: Vec::new(),
    };
    let mut tracker = RenameTracker::new(&before.catalog());
    for (at, operation) in script.operations.iter().enumerate() {
        match operation {
            Operation::Drop(ObjectKind::Table, table) => {
                let rebuild = rebuilds.iter().find(|rebuild| rebuild.dropped == at);
                match (rebuild, tracker.table(table)) {
                    (Some(rebuild), Some(before)) => losses.rebuild(rebuild, before),
                    (None, Some(_)) => {
                        losses.add(&[at], at, &DestructiveChange::Table(table.clone()), "goes");
                    }
                    _ => {}
                }
            }
            Operation::DropColumn { table, column } if tracks(&tracker, table, column) => {
                let change = DestructiveChange::Column(table.clone(), column.clone());
                losses.add(&[at], at, &change, "goes");
            }
            Operation::Delete(table) if tracker.table(table).is_some() => {
                losses.add(&[at], at, &DestructiveChange::Rows(table.clone()), "go");
            }
            Operation::Update {
                table,
                columns,
                everywhere: true,
            } => {
                for column in columns.iter().filter(|c| tracks(&tracker, table, c)) {
                    let change = DestructiveChange::Column(table.clone(), column.clone());
                    losses.add(&[at], at, &change, "is written over in every row");
                }
            }
            _ => {}
        }
        tracker.apply(operation);
    }
    losses.findings
}

/// Whether a column that was there at first is called so now.
fn tracks(tracker: &RenameTracker, table: &Name, column: &Name) -> bool {
    let table = tracker.table(table);
    table.is_some_and(|table| table.columns.contains_key(column))
}

struct Losses<'a> {
    script: &'a ParsedScript<'a>,
    findings: Vec<Finding>,
}

impl Losses<'_> {
    /// Something goes by the statement at `at`; its directive is at one of `statements`.
    fn add(&mut self, statements: &[usize], at: usize, change: &DestructiveChange, verb: &str) {
        if !self.script.is_intended(statements, change) {
            self.findings.push(self.script.finding(
                LintCode::Destroyed,
                at,
                format!("{change} {verb}"),
                format!(
                    "keep it, or write `{}` right above",
                    destroys_comment(change)
                ),
            ));
        }
    }

    /// What a rebuild leaves out of a table.
    fn rebuild(&mut self, rebuild: &Rebuild, before: &TrackedTable) {
        let Rebuild {
            table,
            dropped,
            copies,
            statements,
            ..
        } = rebuild;
        let rows = DestructiveChange::Rows(table.clone());
        let sources = copies.iter().filter_map(|at| source(self.script, *at));
        let sources: Vec<_> = sources.collect();
        if sources.is_empty() {
            self.add(statements, *dropped, &rows, "go");
            return;
        }
        if sources.iter().all(|source| is_partial(source)) {
            self.add(statements, *dropped, &rows, "go in part");
        }
        let sources: Vec<_> = sources.into_iter().map(significant_tokens).collect();
        if sources.iter().any(|source| has_star(source)) {
            return;
        }
        for column in before.columns.keys() {
            let copied = sources.iter().flatten().any(|word| {
                word.is_name() && word.unquoted().eq_ignore_ascii_case(column.folded())
            });
            if !copied {
                let change = DestructiveChange::Column(table.clone(), column.clone());
                self.add(statements, *dropped, &change, "is not copied");
            }
        }
    }
}

/// Whether a SELECT leaves rows out.
fn is_partial(source: &str) -> bool {
    let mut cursor = Cursor::new(source);
    cursor.until(&["where", "limit"]);
    // SQLite wants `where true` before an upsert.
    cursor.next().is_some() && !cursor.second().is_some_and(|word| word.is("true"))
}

/// Whether a SELECT takes all columns.
fn has_star(source: &[Token<'_>]) -> bool {
    source
        .windows(2)
        .any(|pair| pair[1].is_symbol("*") && (pair[0].is("select") || pair[0].is_symbol(".")))
}
