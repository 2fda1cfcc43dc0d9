//! Runs scripts, reads back their schemas, and compares them.

mod questions;
mod rebuilds;
mod scripts;
mod traps;

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions,
};

use super::{Plan, Renames, plan, plan_down};
use crate::sqlite::schema::Schema;

/// Opens an empty database without foreign keys, as a migration finds it.
pub(crate) async fn memory() -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .in_memory(true)
        .foreign_keys(false)
        .disable_statement_logging();
    SqliteConnection::connect_with(&options).await.unwrap()
}

pub(crate) async fn run(connection: &mut SqliteConnection, script: &str) -> Result<(), String> {
    let result = sqlx::raw_sql(AssertSqlSafe(script))
        .execute(connection)
        .await;
    result.map(|_| ()).map_err(|error| error.to_string())
}

/// Runs a script that must succeed.
pub(crate) async fn done(connection: &mut SqliteConnection, script: &str) {
    let result = run(connection, script).await;
    result.unwrap_or_else(|error| panic!("{error}, in:\n{script}"));
}

/// Opens a database and runs a script in it.
async fn database(script: &str) -> SqliteConnection {
    let mut connection = memory().await;
    done(&mut connection, script).await;
    connection
}

/// Returns the schema that a script declares.
pub(crate) async fn declared(script: &str) -> Schema {
    let mut connection = database(script).await;
    let mut schema = Schema::read(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    schema.annotate(script);
    schema
}

/// Returns all rows of a query as text.
pub(crate) async fn rows(connection: &mut SqliteConnection, query: &str) -> Vec<String> {
    let query = sqlx::query_scalar(AssertSqlSafe(query));
    query.fetch_all(connection).await.unwrap()
}

/// Plans both directions between schemas without open questions.
async fn plans(from: &str, to: &str) -> (Plan, Plan) {
    let (from, to) = (declared(from).await, declared(to).await);
    let (renames, _) = Renames::find(&from, &to).unwrap();
    let up = plan(&from, &to, &renames).unwrap();
    (up, plan_down(&from, &to, &renames).unwrap())
}

/// Returns the scripts of both plans, after running up, down and up again on rows.
async fn scripts(from: &str, to: &str, rows: &str) -> (String, String) {
    let (up, down) = plans(from, to).await;
    let (up, down) = (up.script(), down.script());
    let (before, after) = (declared(from).await, declared(to).await);
    let mut connection = database(from).await;
    done(&mut connection, rows).await;
    for (script, expected) in [(&up, &after), (&down, &before), (&up, &after)] {
        done(&mut connection, script).await;
        let reached = Schema::read(&mut connection).await.unwrap();
        assert!(
            reached == *expected,
            "{}\n{script}",
            reached.catalog().ddl()
        );
    }
    (up, down)
}
