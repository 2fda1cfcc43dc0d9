//! What a downgrade takes away, and what is in it: which tables and columns vanish is read
//! from what there is before and after its scripts in memory, and what they hold from the
//! live database. SQL stands here.

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

/// A table or a column with values that a downgrade takes away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DataLoss {
    /// The table, as it is called before the downgrade.
    pub table: String,
    /// The column, or `None` if it is the whole table.
    pub column: Option<String>,
    /// The rows of the table, or those that have something in the column other than its
    /// default.
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

/// How many rows the tables that stay have before a run.
#[derive(Debug, Default)]
pub(crate) struct RowCounts(Vec<(SurvivingTable, i64)>);

impl RowCounts {
    /// Counts those of a live database.
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

    /// What has become fewer. A table that is rebuilt loses what is not copied.
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
    // The names are quoted, and the default is that of a migration.
    sqlx::query_scalar(AssertSqlSafe(statement))
        .fetch_one(live)
        .await
}

/// Counts what is in the tables and columns of a live database that a run drops.
pub(crate) async fn measure(
    live: &mut SqliteConnection,
    catalog: &Catalog,
    dropped: Vec<DroppedObject>,
) -> Result<Vec<DataLoss>, sqlx::Error> {
    let mut losses = Vec::new();
    for DroppedObject { table, column } in dropped {
        // What is not there holds nothing; and SQLite would take its name for a text.
        let condition = match &column {
            None if catalog.columns(&table).is_some() => String::new(),
            None => continue,
            Some(column) => match catalog.column(&table, column) {
                Some(there) => {
                    let default = there.default.as_deref().unwrap_or("null");
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
