//! Finds added columns that a table with rows rejects (M001). Contains SQL.

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

/// M001: returns the columns that only an empty table accepts.
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
            && let Some(error) = rejection(before, &table.to_string(), declaration).await?
        {
            findings.push(script.finding(
                LintCode::AddedColumn,
                at,
                format!("{table}.{column} cannot be added if {table} has rows: {error}"),
                "give it a constant default that satisfies its checks, or rebuild the table".into(),
            ));
        }
        tracker.apply(operation);
    }
    Ok(findings)
}

/// Returns the error of adding a column to a table with a row, if the empty table accepts it. Only
/// the columns that reject NULL have a value in that row.
async fn rejection(
    before: &Table,
    table: &str,
    declaration: &str,
) -> Result<Option<String>, Error> {
    let alias = before.rowid_alias().map(|column| &column.name);
    let columns = before.columns.iter().map(|column| {
        let value = match column.not_null {
            _ if alias == Some(&column.name) => " integer primary key",
            Some(_) => " default 1",
            None => "",
        };
        format!("{}{value}", column.name)
    });
    let columns: Vec<_> = columns.collect();
    let create = format!("create table {table} ({})", columns.join(", "));
    // A number that no default has.
    let insert = match alias {
        Some(alias) => format!("insert into {table} ({alias}) values (1234567)"),
        None => format!("insert into {table} default values"),
    };
    let add = format!("alter table {table} add column {declaration}");
    if attempt(&[&create, &add]).await?.is_some() {
        // It fails on an empty table, too, which M000 reports.
        return Ok(None);
    }
    attempt(&[&create, &insert, &add]).await
}

/// Executes statements on an empty database, and returns the first error.
async fn attempt(statements: &[&str]) -> Result<Option<String>, Error> {
    let script = Script {
        owner: "",
        file: String::new(),
        text: &statements.join(";\n"),
    };
    let failure = Scratch::new().await?.declare(&script).await?;
    Ok(failure.map(|failure| failure.message()))
}
