//! What the text alone says: `*` for columns (M004), halves of pairs and empty ways back
//! (M007), and statements that no migration may use (M008). Knows no database.

use super::{
    finding::{Finding, LintCode},
    script::{ParsedMigration, ParsedScript},
};
use crate::{
    project::Project,
    sql::{self, Token, forbidden::forbidden, location::SourceLocation, significant_tokens},
};

/// What is wrong with the text of a script.
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
        if let Some(what) = forbidden(statement.text) {
            findings.push(Finding::forbidden(&script.location(at), &what));
        }
    }
    findings
}

/// What is wrong with a way back.
pub(super) fn way_back(step: &ParsedMigration<'_>) -> Option<Finding> {
    let ParsedMigration { up, down, .. } = step;
    let missing = !step.half && !up.statements.is_empty() && down.statements.is_empty();
    let why = down.irreversible().unwrap_or_default();
    (missing && why.is_empty()).then(|| {
        down.finding(
            LintCode::Pair,
            0,
            "it undoes nothing, and does not say why".into(),
            "undo what the way up does, or write `-- @irreversible` and the reason".into(),
        )
    })
}

/// The statements of the services, and what they declare, that name no columns.
pub(super) fn statements(project: &Project) -> Vec<Finding> {
    let mut findings = Vec::new();
    for owner in &project.owners {
        for recorded in &owner.recorded {
            if star(&significant_tokens(&recorded.query)).is_some() {
                findings.push(all_columns(&SourceLocation {
                    line: recorded.line,
                    ..SourceLocation::beginning(&recorded.file)
                }));
            }
        }
        for statement in sql::statements(&owner.schema) {
            if let Some(star) = star(&significant_tokens(statement.text)) {
                let file = format!("{}/schema.sql", owner.name);
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
        "`*` stands for columns that a later migration changes under the running programs".into(),
        "name the columns".into(),
    )
}

/// Where a `*` stands for columns, in bytes.
fn star(tokens: &[Token<'_>]) -> Option<usize> {
    let star = tokens.windows(2).find(|pair| {
        let [before, star] = pair else { return false };
        let begins = ["select", "distinct", "all", "returning"]
            .iter()
            .any(|word| before.is(word));
        star.is_symbol("*") && (begins || before.is_symbol(",") || before.is_symbol("."))
    })?;
    Some(star[1].offset)
}
