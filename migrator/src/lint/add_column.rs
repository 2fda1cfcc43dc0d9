//! Columns that a table with rows refuses (M001). SQL stands here.

use sqlx::SqliteConnection;

use super::{
    Code, Error, Finding,
    execution::{Leg, execute, memory, said},
    rebuild::Origins,
};
use crate::sql::operation::Deed;
use crate::sqlite::schema::Table;

/// M001: what can be added to a table in a test, where it is empty, and not in use.
pub(super) async fn columns(leg: &Leg<'_>) -> Result<Vec<Finding>, Error> {
    let script = leg.script;
    let mut origins = Origins::new(leg.before.tables.keys().cloned());
    let mut findings = Vec::new();
    for (at, deed) in script.deeds.iter().enumerate() {
        if let Deed::AddColumn {
            table,
            column,
            declaration,
        } = deed
            && let Some(before) = origins.of(table).and_then(|t| leg.before.tables.get(t))
            && let Some(declaration) = script.statements[at].text.get(*declaration..)
            && let Some(why) = refused(before, &table.to_string(), declaration).await?
        {
            findings.push(script.finding(
                Code::AddedColumn,
                at,
                format!("{table}.{column} cannot be added if {table} has rows: {why}"),
                "give it a constant default that fulfils its checks, or rebuild the table".into(),
            ));
        }
        origins.follow(deed);
    }
    Ok(findings)
}

/// Why a table with a row refuses a column that the same table without one takes.
async fn refused(
    before: &Table,
    table: &str,
    declaration: &str,
) -> Result<Option<String>, sqlx::Error> {
    let columns: Vec<_> = before.columns.iter().map(|c| c.name.to_string()).collect();
    let make = format!("create table {table} ({})", columns.join(", "));
    let fill = format!("insert into {table} default values");
    let add = format!("alter table {table} add column {declaration}");
    if attempt(&[&make, &add]).await?.is_err() {
        // It fails anywhere, and so in the trial.
        return Ok(None);
    }
    let refusal = attempt(&[&make, &fill, &add]).await?.err();
    Ok(refusal.map(|error| said(&error)))
}

/// Runs some statements on nothing.
async fn attempt(statements: &[&str]) -> Result<Result<(), sqlx::Error>, sqlx::Error> {
    let mut connection = memory().await?;
    let result = all(&mut connection, statements).await;
    sqlx::Connection::close(connection).await?;
    Ok(result)
}

async fn all(connection: &mut SqliteConnection, statements: &[&str]) -> Result<(), sqlx::Error> {
    for statement in statements {
        execute(connection, statement).await?;
    }
    Ok(())
}
