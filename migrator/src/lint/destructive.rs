//! Finds destructive changes without a directive (M002). Knows no database.

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

/// M002: returns the destructive changes without a directive.
///
/// A rebuilt table survives as far as its rows and columns are copied. A script may drop the
/// objects that it created.
pub(super) fn unmarked_changes(
    script: &ParsedScript<'_>,
    before: &Schema,
    rebuilds: &[Rebuild],
) -> Vec<Finding> {
    let mut unmarked = UnmarkedChanges {
        script,
        findings: Vec::new(),
    };
    let mut tracker = RenameTracker::new(&before.catalog());
    for (at, operation) in script.operations.iter().enumerate() {
        match operation {
            Operation::Drop(ObjectKind::Table, table) => {
                let rebuild = rebuilds.iter().find(|rebuild| rebuild.dropped == at);
                match (rebuild, tracker.table(table)) {
                    (Some(rebuild), Some(before)) => unmarked.rebuild(rebuild, before),
                    (None, Some(_)) => {
                        unmarked.add(
                            &[at],
                            at,
                            &DestructiveChange::Table(table.clone()),
                            "is dropped",
                        );
                    }
                    _ => {}
                }
            }
            Operation::DropColumn { table, column } if tracks(&tracker, table, column) => {
                let change = DestructiveChange::Column(table.clone(), column.clone());
                unmarked.add(&[at], at, &change, "is dropped");
            }
            Operation::Delete(table) if tracker.table(table).is_some() => {
                unmarked.add(
                    &[at],
                    at,
                    &DestructiveChange::Rows(table.clone()),
                    "are deleted",
                );
            }
            Operation::Update {
                table,
                columns,
                everywhere: true,
            } => {
                for column in columns.iter().filter(|c| tracks(&tracker, table, c)) {
                    let change = DestructiveChange::Column(table.clone(), column.clone());
                    unmarked.add(&[at], at, &change, "is overwritten in every row");
                }
            }
            _ => {}
        }
        tracker.apply(operation);
    }
    unmarked.findings
}

/// Reports whether this current name is that of a column of the initial schema.
fn tracks(tracker: &RenameTracker, table: &Name, column: &Name) -> bool {
    let table = tracker.table(table);
    table.is_some_and(|table| table.columns.contains_key(column))
}

struct UnmarkedChanges<'a> {
    script: &'a ParsedScript<'a>,
    findings: Vec<Finding>,
}

impl UnmarkedChanges<'_> {
    /// Adds a finding at the statement `at`, unless one of `statements` has the directive.
    fn add(&mut self, statements: &[usize], at: usize, change: &DestructiveChange, verb: &str) {
        if !self.script.is_intended(statements, change) {
            self.findings.push(self.script.finding(
                LintCode::Destroyed,
                at,
                format!("{change} {verb}"),
                format!(
                    "keep it, or write `{}` above the statement",
                    destroys_comment(change)
                ),
            ));
        }
    }

    /// Adds the rows and columns that a rebuild does not copy.
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
            self.add(statements, *dropped, &rows, "are deleted");
            return;
        }
        if sources.iter().all(|source| is_partial(source)) {
            self.add(statements, *dropped, &rows, "are deleted in part");
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
                // The column may become a generated one: then only its values are lost.
                let values = DestructiveChange::Values(table.clone(), column.clone());
                if !self.script.is_intended(statements, &values) {
                    self.add(statements, *dropped, &change, "is not copied");
                }
            }
        }
    }
}

/// Reports whether a SELECT omits rows.
fn is_partial(source: &str) -> bool {
    let mut cursor = Cursor::new(source);
    cursor.until(&["where", "limit"]);
    // SQLite requires `where true` before an upsert.
    cursor.next().is_some() && !cursor.second().is_some_and(|word| word.is("true"))
}

/// Reports whether a SELECT has a `*`.
fn has_star(source: &[Token<'_>]) -> bool {
    source
        .windows(2)
        .any(|pair| pair[1].is_symbol("*") && (pair[0].is("select") || pair[0].is_symbol(".")))
}
