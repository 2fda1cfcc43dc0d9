//! What a script destroys, and whether it says so (M002). Knows no database.

use std::collections::BTreeMap;

use super::{
    Code, Finding,
    rebuild::{Origins, Rebuild, source},
    script::{Script, mark},
};
use crate::sql::operation::{Deed, at_top, words};
use crate::sqlite::schema::{Name, ObjectKind, Schema};

/// M002: what is destroyed without its mark.
///
/// A table that is rebuilt stays, as far as its rows and columns are copied. What the
/// script itself has made may go.
pub(super) fn losses(script: &Script<'_>, before: &Schema, rebuilds: &[Rebuild]) -> Vec<Finding> {
    let mut losses = Losses {
        script,
        findings: Vec::new(),
    };
    let mut origins = Origins::new(before.tables.keys().cloned());
    // By the names that they have now, the columns that were there before.
    let mut columns: BTreeMap<&Name, Vec<Name>> = BTreeMap::new();
    for (name, table) in &before.tables {
        let stored = table.columns.iter().filter(|c| c.generated.is_none());
        columns.insert(name, stored.map(|column| column.name.clone()).collect());
    }
    for (at, deed) in script.deeds.iter().enumerate() {
        let there = |table: &Name| origins.of(table).and_then(|origin| columns.get(origin));
        match deed {
            Deed::Drop(ObjectKind::Table, table) => {
                let rebuild = rebuilds.iter().find(|rebuild| rebuild.dropped == at);
                match (rebuild, there(table)) {
                    (Some(rebuild), Some(columns)) => losses.rebuild(rebuild, columns),
                    (None, Some(_)) => losses.add(&[at], at, &format!("table {table}"), "goes"),
                    _ => {}
                }
            }
            Deed::DropColumn { table, column }
                if there(table).is_some_and(|columns| columns.contains(column)) =>
            {
                losses.add(&[at], at, &format!("column {table}.{column}"), "goes");
            }
            Deed::Delete(table) if there(table).is_some() => {
                losses.add(&[at], at, &format!("rows {table}"), "go");
            }
            Deed::Update {
                table,
                columns,
                everywhere: true,
            } => {
                let there = there(table).map_or(&[][..], Vec::as_slice);
                for column in columns.iter().filter(|column| there.contains(column)) {
                    let what = format!("column {table}.{column}");
                    losses.add(&[at], at, &what, "is written over in every row");
                }
            }
            Deed::RenameColumn { table, from, to } => {
                let columns = origins.of(table).and_then(|origin| columns.get_mut(origin));
                let renamed = columns.into_iter().flatten().find(|column| *column == from);
                if let Some(column) = renamed {
                    *column = to.clone();
                }
            }
            _ => {}
        }
        origins.follow(deed);
    }
    losses.findings
}

struct Losses<'a> {
    script: &'a Script<'a>,
    findings: Vec<Finding>,
}

impl Losses<'_> {
    /// Something goes by the statement at `at`; its mark is at one of `statements`.
    fn add(&mut self, statements: &[usize], at: usize, what: &str, verb: &str) {
        if !self.script.is_marked(statements, what) {
            self.findings.push(self.script.finding(
                Code::Destroyed,
                at,
                format!("{what} {verb}"),
                format!("keep it, or write `{}` right above", mark(what)),
            ));
        }
    }

    /// What a rebuild leaves out of the table with these columns.
    fn rebuild(&mut self, rebuild: &Rebuild, columns: &[Name]) {
        let Rebuild {
            table,
            dropped,
            copies,
            statements,
            ..
        } = rebuild;
        let sources = copies.iter().filter_map(|at| source(self.script, *at));
        let sources: Vec<_> = sources.map(words).collect();
        if sources.is_empty() {
            self.add(statements, *dropped, &format!("rows {table}"), "go");
            return;
        }
        let some = sources.iter().all(|source| {
            let condition = at_top(source, |word| word.is("where") || word.is("limit"));
            // SQLite wants `where true` before an upsert.
            condition.is_some_and(|at| !source.get(at + 1).is_some_and(|word| word.is("true")))
        });
        if some {
            self.add(statements, *dropped, &format!("rows {table}"), "go in part");
        }
        let all = |source: &Vec<_>| {
            let star = |pair: &[crate::sql::Token<'_>]| {
                pair[1].is_symbol("*") && (pair[0].is("select") || pair[0].is_symbol("."))
            };
            source.windows(2).any(star)
        };
        if sources.iter().any(all) {
            return;
        }
        for column in columns {
            let copied = sources.iter().flatten().any(|word| {
                word.is_name() && word.unquoted().eq_ignore_ascii_case(column.folded())
            });
            if !copied {
                let what = format!("column {table}.{column}");
                self.add(statements, *dropped, &what, "is not copied");
            }
        }
    }
}
