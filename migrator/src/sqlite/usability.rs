//! Objects that SQLite creates, but rejects when they are used: views and triggers that name
//! missing objects, and foreign keys without a unique key to refer to. Its SQL is here.

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::{
    execute::{sqlite_message, trigger_firing_statements, try_prepare},
    schema::{Schema, Trigger},
};
use crate::sql::name::{Name, ObjectKind};

/// An object that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnusableObject {
    pub(crate) kind: ObjectKind,
    pub(crate) name: Name,
    /// The error of SQLite, or the reason.
    pub(crate) message: String,
}

/// Compiles each use of each object: a SELECT of each view, and the statements that fire each
/// trigger. Returns the objects that SQLite rejects, and changes nothing.
///
/// # Errors
///
/// A failure of the connection.
pub(crate) async fn unusable_objects(
    connection: &mut SqliteConnection,
    schema: &Schema,
) -> Result<Vec<UnusableObject>, sqlx::Error> {
    let mut unusable = foreign_keys(connection, schema).await?;
    for name in schema.views.keys() {
        let select = format!("select * from {name}");
        if let Err(message) = try_prepare(connection, &select).await {
            unusable.push(UnusableObject {
                kind: ObjectKind::View,
                name: name.clone(),
                message,
            });
        }
    }
    if fires(connection, schema).await {
        return Ok(unusable);
    }
    sqlx::query("savepoint use_of_triggers")
        .execute(&mut *connection)
        .await?;
    let triggers = unusable_triggers(connection, schema).await;
    sqlx::raw_sql("rollback to use_of_triggers; release use_of_triggers")
        .execute(connection)
        .await?;
    unusable.extend(triggers?);
    Ok(unusable)
}

/// Returns the tables whose foreign keys refer to a missing table, or to columns without a unique
/// key. A run fails on the latter, even without rows.
pub(crate) async fn foreign_keys(
    connection: &mut SqliteConnection,
    schema: &Schema,
) -> Result<Vec<UnusableObject>, sqlx::Error> {
    let mut unusable = Vec::new();
    for table in schema
        .tables
        .values()
        .filter(|t| !t.foreign_keys.is_empty())
    {
        let missing = table
            .foreign_keys
            .iter()
            .find(|key| !schema.tables.contains_key(&key.table));
        let missing = missing.map(|key| {
            let column = key.columns.first().map(Name::to_string);
            let column = column.unwrap_or_default();
            format!(
                "{}.{column} refers to {}, which is not declared",
                table.name, key.table
            )
        });
        let check = format!("pragma foreign_key_check({})", table.name);
        let checked = sqlx::raw_sql(AssertSqlSafe(check))
            .fetch_optional(&mut *connection)
            .await;
        let mismatch = match checked {
            Ok(_) => None,
            Err(error @ sqlx::Error::Database(_)) => Some(format!(
                "{}: the referenced columns need a PRIMARY KEY or UNIQUE of their own",
                sqlite_message(&error)
            )),
            Err(error) => return Err(error),
        };
        unusable.extend(mismatch.or(missing).map(|message| UnusableObject {
            kind: ObjectKind::Table,
            name: table.name.clone(),
            message,
        }));
    }
    Ok(unusable)
}

/// Reports whether all triggers can fire.
async fn fires(connection: &mut SqliteConnection, schema: &Schema) -> bool {
    let mut works = schema
        .triggers
        .values()
        .all(|trigger| !schema.views.contains_key(&trigger.table));
    for table in schema.tables.keys() {
        for statement in statements(schema, table) {
            works = works && try_prepare(connection, &statement).await.is_ok();
        }
    }
    works
}

/// Returns the triggers that fail without any other trigger. Drops all triggers.
async fn unusable_triggers(
    connection: &mut SqliteConnection,
    schema: &Schema,
) -> Result<Vec<UnusableObject>, sqlx::Error> {
    for name in schema.triggers.keys() {
        execute(connection, format!("drop trigger {name}")).await?;
    }
    let mut unusable = Vec::new();
    for (name, trigger) in &schema.triggers {
        let created = execute(connection, trigger.sql.clone()).await;
        let message = match &created {
            Ok(()) => failure(connection, schema, trigger).await,
            Err(error) => Some(sqlite_message(error)),
        };
        unusable.extend(message.map(|message| UnusableObject {
            kind: ObjectKind::Trigger,
            name: name.clone(),
            message,
        }));
        if created.is_ok() {
            execute(connection, format!("drop trigger {name}")).await?;
        }
    }
    Ok(unusable)
}

/// Returns the error of firing the only trigger of a schema.
async fn failure(
    connection: &mut SqliteConnection,
    schema: &Schema,
    trigger: &Trigger,
) -> Option<String> {
    let statements = if schema.views.contains_key(&trigger.table) {
        let columns = view_columns(connection, &trigger.table).await;
        trigger_firing_statements(&trigger.table.to_string(), &columns)
            .into_iter()
            .filter(|statement| {
                // SQLite rejects the other statements, which no trigger handles.
                let event = statement.split(' ').next().unwrap_or_default();
                trigger.body.contains(&format!("instead of {event}"))
            })
            .collect()
    } else {
        statements(schema, &trigger.table)
    };
    for statement in statements {
        if let Err(message) = try_prepare(connection, &statement).await {
            return Some(message);
        }
    }
    None
}

fn statements(schema: &Schema, table: &Name) -> Vec<String> {
    let columns = schema
        .tables
        .get(table)
        .into_iter()
        .flat_map(|table| &table.columns);
    let stored = columns.filter(|column| column.generated.is_none());
    let columns: Vec<_> = stored.map(|column| column.name.to_string()).collect();
    trigger_firing_statements(&table.to_string(), &columns)
}

/// Returns the quoted names of the columns of a view. A view that cannot be used has none.
async fn view_columns(connection: &mut SqliteConnection, view: &Name) -> Vec<String> {
    let columns = sqlx::query_scalar::<_, String>("select name from pragma_table_info(?1)")
        .bind(view.spelled())
        .fetch_all(connection)
        .await
        .unwrap_or_default();
    columns
        .iter()
        .map(|column| Name::new(column).to_string())
        .collect()
}

async fn execute(connection: &mut SqliteConnection, statement: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(connection)
        .await
        .map(drop)
}
