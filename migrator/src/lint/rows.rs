//! Finds scripts that any two rows make fail (M001). Knows no SQL.

use super::finding::{Finding, LintCode};
use crate::{
    sql,
    sqlite::{
        execute::StatementFailure,
        schema::{Check, Schema, Table},
    },
};

/// M001: returns the finding for a script that failed in tables with two different rows, if no other
/// rows can help: it violates a unique key, NOT NULL, or a check of new columns alone.
pub(super) fn rejection(
    failure: &StatementFailure,
    before: &Schema,
    after: &Schema,
) -> Option<Finding> {
    let message = failure.message();
    let constraints = ["UNIQUE constraint failed: ", "NOT NULL constraint failed: "];
    let mut columns = constraints
        .iter()
        .filter_map(|text| message.strip_prefix(text));
    let is_certain = columns.any(|columns| !is_computed(columns, before, after))
        || message
            .strip_prefix("CHECK constraint failed: ")
            .is_some_and(|check| is_of_new_columns(check, before, after));
    is_certain.then(|| {
        Finding::new(
            LintCode::AddedColumn,
            &failure.location,
            format!("tables with two rows reject it: {message}"),
            "give each row a value that satisfies the constraint".into(),
        )
    })
}

/// Reports whether SQLite rejected a value that is computed from old ones, so that other rows may
/// pass. It prints `table.column` for each column, and only the name of an index on expressions.
fn is_computed(printed: &str, before: &Schema, after: &Schema) -> bool {
    let is_old = |table: &Table, expression: &str| {
        let old = before.tables.get(&table.name);
        old.is_some_and(|old| old.columns.iter().any(|c| c.name.is_in(expression)))
    };
    let columns = after
        .tables
        .values()
        .flat_map(|table| table.columns.iter().map(move |column| (table, column)));
    let mut computed = columns.filter(|(table, column)| {
        let generated = column.generated.as_ref();
        generated.is_some_and(|generated| is_old(table, &generated.expression))
    });
    printed.starts_with("index '")
        || computed.any(|(_, column)| {
            let mut names = printed.split(", ");
            names.any(|name| name.ends_with(&format!(".{}", column.name.spelled())))
        })
}

/// Reports whether each table with this check had none of its columns before. SQLite prints the name
/// of a check, or else its expression.
fn is_of_new_columns(printed: &str, before: &Schema, after: &Schema) -> bool {
    let expression = sql::normalised(printed);
    let is_meant = |check: &&Check| match &check.name {
        Some(name) => name.folded() == printed.to_ascii_lowercase(),
        None => check.expression == expression,
    };
    let is_new = |(table, check): (&Table, &Check)| {
        let columns = table
            .columns
            .iter()
            .filter(|c| c.name.is_in(&check.expression));
        let mut columns = columns.map(|column| &column.name);
        let old = before.tables.get(&table.name);
        old.is_some_and(|old| columns.all(|column| old.column(column).is_none()))
    };
    let mut meant = after
        .tables
        .values()
        .flat_map(|table| {
            table
                .checks
                .iter()
                .filter(is_meant)
                .map(move |check| (table, check))
        })
        .peekable();
    meant.peek().is_some() && meant.all(is_new)
}
