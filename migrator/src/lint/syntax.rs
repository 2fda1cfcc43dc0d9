//! The rules on the text: `*` for columns (M004), empty down migrations (M007), and forbidden
//! statements (M008). Knows no database.

use super::{
    finding::{Finding, LintCode},
    script::{ParsedMigration, ParsedScript},
};
use crate::{
    project::{Project, paths},
    sql::{self, Token, forbidden::forbidden, location::SourceLocation, significant_tokens},
};

/// M004 and M008 in a script.
pub(super) fn script(script: &ParsedScript<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, statement) in script.statements.iter().enumerate() {
        let tokens = significant_tokens(statement.text);
        if let Some(star) = star(&tokens) {
            let offset = statement.offset + star;
            findings.push(all_columns(&SourceLocation::new(
                &script.file,
                script.text,
                offset,
            )));
        }
        if let Some(operation) = forbidden(statement.text) {
            findings.push(Finding::forbidden(&script.location(at), &operation));
        }
    }
    findings
}

/// M007: an empty down migration without a reason.
pub(super) fn down_migration(step: &ParsedMigration<'_>) -> Option<Finding> {
    let ParsedMigration { up, down, .. } = step;
    let missing = !step.is_incomplete && !up.statements.is_empty() && down.statements.is_empty();
    let reason = down.irreversible().unwrap_or_default();
    (missing && reason.is_empty()).then(|| {
        down.finding(
            LintCode::Pair,
            0,
            "it reverts nothing and gives no reason".into(),
            "revert the up migration, or write `-- @irreversible` and the reason".into(),
        )
    })
}

/// M004 in the recorded statements and the declarations of the services.
pub(super) fn statements(project: &Project) -> Vec<Finding> {
    let mut findings = Vec::new();
    for owner in &project.owners {
        for recorded in &owner.recorded {
            if star(&significant_tokens(&recorded.query)).is_some() {
                findings.push(all_columns(&SourceLocation {
                    line: recorded.line,
                    ..SourceLocation::start_of(&recorded.file)
                }));
            }
        }
        for statement in sql::statements(&owner.schema) {
            if let Some(star) = star(&significant_tokens(statement.text)) {
                let file = paths::schema(&owner.name);
                let offset = statement.offset + star;
                let location = SourceLocation::new(&file, &owner.schema, offset);
                findings.push(all_columns(&location));
            }
        }
    }
    findings
}

fn all_columns(location: &SourceLocation) -> Finding {
    Finding::new(
        LintCode::AllColumns,
        location,
        "`*` selects columns that a later migration changes under the running programs".into(),
        "name the columns".into(),
    )
}

/// Returns the byte offset of a `*` that selects columns.
fn star(tokens: &[Token<'_>]) -> Option<usize> {
    let (at, _) = tokens.iter().enumerate().find(|(at, star)| {
        let Some(before) = at.checked_sub(1).map(|at| &tokens[at]) else {
            return false;
        };
        // EXISTS reads no column.
        let in_exists = matches!(&tokens[..at - 1], [.., exists, open]
            if exists.is("exists") && open.is_symbol("(") && before.is("select"));
        let starts_list = ["select", "distinct", "all", "returning"]
            .iter()
            .any(|word| before.is(word));
        star.is_symbol("*")
            && !in_exists
            && (starts_list || before.is_symbol(",") || before.is_symbol("."))
    })?;
    Some(tokens[at].offset)
}
