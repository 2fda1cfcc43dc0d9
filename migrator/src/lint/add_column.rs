//! Columns that a table with rows refuses (M001). SQL stands here.

use super::{
    finding::{Finding, LintCode},
    script::ParsedScript,
};
use crate::{
    error::Error,
    scratch::Scratch,
    sql::operation::Operation,
    sqlite::{
        execute::Script,
        schema::{Schema, Table},
    },
    state::rename_tracker::RenameTracker,
};

/// M001: what can be added to a table in a test, where it is empty, and not in use.
pub(super) async fn columns(
    script: &ParsedScript<'_>,
    before: &Schema,
) -> Result<Vec<Finding>, Error> {
    let mut tracker = RenameTracker::new(&before.catalog());
    let mut findings = Vec::new();
    for (at, operation) in script.operations.iter().enumerate() {
        if let Operation::AddColumn {
            table,
            column,
            declaration,
        } = operation
            && let Some(before) = tracker
                .table(table)
                .and_then(|t| before.tables.get(&t.name))
            && let Some(declaration) = script.statements[at].text.get(*declaration..)
            && let Some(why) = refused(before, &table.to_string(), declaration).await?
        {
            findings.push(script.finding(
                LintCode::AddedColumn,
                at,
                format!("{table}.{column} cannot be added if {table} has rows: {why}"),
                "give it a constant default that fulfils its checks, or rebuild the table".into(),
            ));
        }
        tracker.apply(operation);
    }
    Ok(findings)
}

/// Why a table with a row refuses a column that the same table without one takes.
async fn refused(before: &Table, table: &str, declaration: &str) -> Result<Option<String>, Error> {
    let columns: Vec<_> = before.columns.iter().map(|c| c.name.to_string()).collect();
    let make = format!("create table {table} ({})", columns.join(", "));
    let fill = format!("insert into {table} default values");
    let add = format!("alter table {table} add column {declaration}");
    if attempt(&[&make, &add]).await?.is_some() {
        // It fails anywhere, and so when it is executed.
        return Ok(None);
    }
    attempt(&[&make, &fill, &add]).await
}

/// Returns why one of some statements fails on an empty database.
async fn attempt(statements: &[&str]) -> Result<Option<String>, Error> {
    let script = Script {
        owner: "",
        file: String::new(),
        text: &statements.join(";\n"),
    };
    let failure = Scratch::new().await?.declare(&script).await?;
    Ok(failure.map(|failure| failure.message()))
}
