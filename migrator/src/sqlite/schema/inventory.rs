//! What there is in a database: names only. SQL stands here.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;

use crate::sqlite::guard::OWN;

/// The tables, and the tables, views and indexes that names stand for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inventory {
    /// The tables, each with its columns. Those of SQLite and of the migrator are left out.
    pub(crate) tables: BTreeMap<String, Vec<Column>>,
    /// Views and indexes. Those that SQLite made by itself are left out.
    pub(crate) others: Vec<String>,
}

/// A column that holds what somebody wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// An expression, or `null`.
    pub(crate) default: String,
}

impl Inventory {
    /// Reads it. Several statements, so it has to be in a transaction.
    pub(crate) async fn read(connection: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        let objects: Vec<(String, String)> = sqlx::query_as(
            "select type, name
             from sqlite_schema
             where type <> 'trigger' and name not like 'sqlite\\_%' escape '\\'
             order by name",
        )
        .fetch_all(&mut *connection)
        .await?;
        let mut inventory = Self::default();
        for (kind, name) in objects {
            if OWN.iter().any(|prefix| name.starts_with(prefix)) {
                continue;
            }
            if kind == "table" {
                let columns = columns(connection, &name).await?;
                inventory.tables.insert(name, columns);
            } else {
                inventory.others.push(name);
            }
        }
        Ok(inventory)
    }

    /// All names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let others = self.others.iter();
        self.tables.keys().chain(others).map(String::as_str)
    }

    /// The columns of a table, if it is there. SQLite tells no letter case.
    pub(crate) fn columns(&self, table: &str) -> Option<&[Column]> {
        self.tables
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(table))
            .map(|(_, columns)| columns.as_slice())
    }

    /// A column of a table, if it is there.
    pub(crate) fn column(&self, table: &str, column: &str) -> Option<&Column> {
        self.columns(table)?
            .iter()
            .find(|there| there.name.eq_ignore_ascii_case(column))
    }
}

/// Generated columns hold nothing, and this PRAGMA leaves them out.
async fn columns(
    connection: &mut SqliteConnection,
    table: &str,
) -> Result<Vec<Column>, sqlx::Error> {
    let rows: Vec<(String, Option<String>)> = sqlx::query_as(
        "select name, dflt_value
         from pragma_table_info(?1)",
    )
    .bind(table)
    .fetch_all(connection)
    .await?;
    let column = |(name, default): (String, Option<String>)| Column {
        name,
        default: default.unwrap_or_else(|| "null".into()),
    };
    Ok(rows.into_iter().map(column).collect())
}
