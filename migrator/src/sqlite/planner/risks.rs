//! The rows on which a down migration fails: they violate a constraint that the up migration
//! removed. The head of the script names them.

use crate::{
    sql::{self, TokenKind, name::Name},
    sqlite::schema::{Column, KeyColumn, Schema, Table},
};

/// The functions whose result is NULL if an argument is.
const STRICT_FUNCTIONS: [&str; 12] = [
    "abs", "cast", "check", "instr", "length", "lower", "ltrim", "round", "rtrim", "substr",
    "trim", "upper",
];

/// Returns the rows on which a down migration from `from` to `to` may fail, one line each. The names
/// of both schemas are the new ones.
pub(super) fn rows(from: &Schema, to: &Schema) -> Vec<String> {
    let mut risks = Vec::new();
    for (name, before) in &from.tables {
        let Some(after) = to.tables.get(name) else {
            continue;
        };
        risks.extend(null_violations(before, after));
        risks.extend(violations_since(before, after));
        let is_new = |key: &[KeyColumn]| {
            let mut indexes = from.indexes.values();
            !indexes.any(|index| index.unique && index.table == *name && index.columns == key)
        };
        let indexes = to.indexes.values();
        for index in indexes.filter(|index| index.unique && index.table == *name) {
            if is_new(&index.columns) && has_old_columns(before, after, &index.columns) {
                let index = index.name.quoted();
                risks.push(format!(
                    "if rows of {} that were added since share a key of index {index}",
                    after.name.quoted()
                ));
            }
        }
    }
    risks
}

/// Returns the checks that a column violates which comes back as NULL.
fn null_violations(before: &Table, after: &Table) -> Vec<String> {
    let is_null = |column: &&Column| {
        before.column(&column.name).is_none()
            && column.default.is_none()
            && column.not_null.is_none()
            && column.generated.is_none()
    };
    let columns = after.columns.iter().filter(is_null);
    let columns: Vec<_> = columns.map(|column| &column.name).collect();
    let checks = after.checks.iter().filter_map(|check| {
        let mut columns = columns.iter();
        let column = columns.find(|column| column.is_in(&check.expression))?;
        may_reject_null(&check.expression).then(|| {
            format!(
                "on rows of {} whose {} violates check ({}), since it comes back as NULL",
                after.name.quoted(),
                column.quoted(),
                check.expression
            )
        })
    });
    checks.collect()
}

/// Reports whether a check may be false for NULL. It is not if it only compares and calculates.
pub(super) fn may_reject_null(expression: &str) -> bool {
    let tokens = sql::tokens(expression);
    tokens.iter().enumerate().any(|(at, token)| {
        let words = ["is", "isnull", "notnull", "null", "case", "exists"];
        let calls = tokens.get(at + 1).is_some_and(|next| next.is_symbol("("))
            && matches!(token.kind, TokenKind::Word | TokenKind::Quoted)
            && !sql::is_keyword(token.text)
            && !STRICT_FUNCTIONS.iter().any(|name| token.is(name));
        calls || words.iter().any(|word| token.is(word))
    })
}

/// Returns the constraints that rows may violate which were added after the up migration.
fn violations_since(before: &Table, after: &Table) -> Vec<String> {
    let table = after.name.quoted();
    let mut risks = Vec::new();
    for check in &after.checks {
        let is_kept = before
            .checks
            .iter()
            .any(|old| old.expression == check.expression);
        let columns = after
            .columns
            .iter()
            .filter(|c| c.name.is_in(&check.expression));
        let mut columns = columns.map(|column| &column.name);
        if !is_kept && columns.any(|column| before.column(column).is_some()) {
            risks.push(format!(
                "if rows of {table} that were added since violate check ({})",
                check.expression
            ));
        }
    }
    for key in after.primary_key.iter().chain(&after.uniques) {
        let mut kept = before.primary_key.iter().chain(&before.uniques);
        let is_kept = kept.any(|old| old.columns == key.columns);
        if !is_kept && has_old_columns(before, after, &key.columns) {
            let columns: Vec<_> = key.columns.iter().map(ToString::to_string).collect();
            risks.push(format!(
                "if rows of {table} that were added since share a key ({})",
                columns.join(", ")
            ));
        }
    }
    for key in &after.foreign_keys {
        let is_same = |old: &&crate::sqlite::schema::ForeignKey| {
            old.columns == key.columns && old.table == key.table
        };
        let is_kept = before.foreign_keys.iter().any(|old| is_same(&old));
        let mut columns = key.columns.iter();
        if !is_kept && columns.all(|column| before.column(column).is_some()) {
            risks.push(format!(
                "if rows of {table} that were added since refer to no row of {}",
                key.table.quoted()
            ));
        }
    }
    risks
}

/// Reports whether the table had all columns of a key before the down migration.
fn has_old_columns(before: &Table, after: &Table, key: &[KeyColumn]) -> bool {
    let names = |name: &Name| {
        key.iter()
            .any(|part| part.column() == *name || name.is_in(&part.expression))
    };
    let mut columns = after.columns.iter().filter(|column| names(&column.name));
    columns.all(|column| before.column(&column.name).is_some())
}
