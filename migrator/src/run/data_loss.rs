//! The data that a downgrade loses. The preflight tells which tables and columns are dropped;
//! this module counts their rows in the live database. Contains SQL.

use std::fmt;

use serde::Serialize;
use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::{
    sql::{name::Name, quoted},
    state::{
        catalog::Catalog,
        rename_tracker::{DroppedObject, SurvivingTable},
    },
};

/// A table or column with data that a downgrade drops.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DataLoss {
    /// The name of the table before the downgrade.
    pub table: String,
    /// The column, or `None` for a whole table.
    pub column: Option<String>,
    /// The number of rows of the table, or of rows whose value in the column is not the default.
    pub rows: i64,
}

impl fmt::Display for DataLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            table,
            column,
            rows,
        } = self;
        let s = if *rows == 1 { "" } else { "s" };
        match column {
            None => write!(f, "table {table} ({rows} row{s})"),
            Some(column) => write!(f, "column {table}.{column} ({rows} value{s})"),
        }
    }
}

/// The row counts of the surviving tables before a run.
#[derive(Debug, Default)]
pub(crate) struct RowCounts(Vec<(SurvivingTable, i64)>);

impl RowCounts {
    /// Counts the rows of a live database.
    pub(crate) async fn read(
        live: &mut SqliteConnection,
        tables: Vec<SurvivingTable>,
    ) -> Result<Self, sqlx::Error> {
        let mut rows = Vec::new();
        for table in tables {
            let count = count(live, &table.name, "").await?;
            rows.push((table, count));
        }
        Ok(Self(rows))
    }

    /// Returns the rows that the run lost. A rebuild loses the rows that it does not copy.
    pub(crate) async fn lost(
        self,
        live: &mut SqliteConnection,
    ) -> Result<Vec<DataLoss>, sqlx::Error> {
        let mut losses = Vec::new();
        for (table, before) in self.0 {
            let rows = before - count(live, &table.new_name, "").await?;
            if rows > 0 {
                losses.push(DataLoss {
                    table: table.name.spelled().to_owned(),
                    column: None,
                    rows,
                });
            }
        }
        Ok(losses)
    }
}

async fn count(
    live: &mut SqliteConnection,
    table: &Name,
    condition: &str,
) -> Result<i64, sqlx::Error> {
    let statement = format!(
        "select count(*) from {}{condition}",
        quoted(table.spelled())
    );
    // Safe: the names are quoted, and the default expression comes from a migration.
    sqlx::query_scalar(AssertSqlSafe(statement))
        .fetch_one(live)
        .await
}

/// Counts the data in the tables and columns that a run drops from a live database.
pub(crate) async fn measure(
    live: &mut SqliteConnection,
    catalog: &Catalog,
    dropped: Vec<DroppedObject>,
) -> Result<Vec<DataLoss>, sqlx::Error> {
    let mut losses = Vec::new();
    for DroppedObject { table, column } in dropped {
        // Skip missing columns: SQLite would read their quoted names as string literals.
        let condition = match &column {
            None if catalog.columns(&table).is_some() => String::new(),
            None => continue,
            Some(column) => match catalog.column(&table, column) {
                Some(column_info) => {
                    let default = column_info.default.as_deref().unwrap_or("null");
                    format!(" where {} is not ({default})", quoted(column.spelled()))
                }
                None => continue,
            },
        };
        let rows = count(live, &table, &condition).await?;
        if rows > 0 {
            losses.push(DataLoss {
                table: table.spelled().to_owned(),
                column: column.map(|column| column.spelled().to_owned()),
                rows,
            });
        }
    }
    Ok(losses)
}
