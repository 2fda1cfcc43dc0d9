//! The rows on which a down migration fails: they violate a constraint that the up migration
//! removed. The head of the script names them.

mod comparison;

use self::comparison::Comparison;
use crate::{
    sql::{self, TokenKind},
    sqlite::schema::{Column, Schema, Table},
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
        let comparison = Comparison {
            from,
            to,
            before,
            after,
        };
        risks.extend(comparison.violations());
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
