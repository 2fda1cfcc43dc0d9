//! Sample rows, with which a script runs before it runs on real ones. Their SQL is here.

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::schema::{Column, Schema, Table};

/// Inserts two rows into each table. All their values differ, and none is NULL, so that only a fault
/// of the script violates a unique key or NOT NULL. A table whose checks reject the rows stays empty.
///
/// Without triggers, which could add rows with equal values: they are dropped, and created again.
pub(crate) async fn insert(connection: &mut SqliteConnection, schema: &Schema) {
    let triggers = schema.triggers.values();
    let drops = triggers
        .clone()
        .map(|trigger| format!("drop trigger {}", trigger.name));
    let tables = schema.tables.values();
    let rows = tables.flat_map(|table| [1, 2].map(|number| row(table, number)));
    let creates = triggers.map(|trigger| trigger.sql.clone());
    for statement in drops.chain(rows).chain(creates) {
        let _ = sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut *connection)
            .await;
    }
}

fn row(table: &Table, number: u8) -> String {
    let columns = table.columns.iter().filter(|c| c.generated.is_none());
    let (names, values): (Vec<_>, Vec<_>) = columns
        .map(|column| (column.name.to_string(), value(column, number)))
        .unzip();
    format!(
        "insert into {} ({}) values ({})",
        table.name,
        names.join(", "),
        values.join(", ")
    )
}

/// Returns a value for the type of a column, which a STRICT table accepts.
fn value(column: &Column, number: u8) -> String {
    match column.type_name.as_str() {
        "blob" => format!("x'0{number}'"),
        name if ["char", "text", "clob"]
            .iter()
            .any(|part| name.contains(part)) =>
        {
            format!("'{number}'")
        }
        _ => number.to_string(),
    }
}
