//! Inline reads: they return the same rows as other connections, under the same access policy.

use chassis::database::{
    Lifecycle,
    sqlite::{Database, RowCursor, WrongType},
};
use sqlx::Connection;
use user_service::store::sqlite::REQUIREMENTS;

use super::{
    TestDir,
    authorizer::{denied, services},
};

const NICKNAMES: &str = "select nickname from users order by id";

fn text_of(row: &mut RowCursor<'_>) -> Result<String, WrongType> {
    row.text()
}

/// Returns the first column of each row of a statement, or `None` if it cannot be read inline.
fn texts(database: &Database, statement: &str) -> Option<Vec<String>> {
    let statement = statement.to_owned().leak();
    let source = database.read_source(1);
    source.try_read_inline(statement, &[], text_of)
}

/// Returns an INSERT of users with these nicknames.
fn insert(names: &[&str]) -> String {
    let rows: Vec<_> = names
        .iter()
        .map(|name| format!("('{name}', '{name}', '{name}@example.com', '{name}', 0, 0, 0, 1)"))
        .collect();
    format!(
        "insert into users
            (nickname, nickname_key, email, email_key, role, create_time, update_time, revision)
        values {}",
        rows.join(", ")
    )
}

#[tokio::test]
async fn an_inline_read_sees_every_earlier_commit() {
    let dir = TestDir::migrated().await;
    let database = dir.ready(&REQUIREMENTS).await;

    let before = texts(&database, NICKNAMES);
    dir.execute(&insert(&["susan"])).await;
    let after = texts(&database, NICKNAMES);
    let mut writer = dir.lock().await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(insert(&["john"])))
        .execute(&mut writer)
        .await
        .unwrap();
    let uncommitted = texts(&database, NICKNAMES);
    writer.close().await.unwrap();

    assert_eq!(before.unwrap(), [""; 0]);
    assert_eq!(after.unwrap(), ["susan"]);
    assert_eq!(uncommitted.unwrap(), ["susan"]);
}

#[tokio::test]
async fn a_prepared_statement_survives_a_schema_change() {
    let dir = TestDir::migrated().await;
    let database = dir.ready(&REQUIREMENTS).await;
    dir.execute(&insert(&["susan"])).await;
    assert_eq!(texts(&database, NICKNAMES).unwrap(), ["susan"]);

    dir.execute("alter table users add column about text; create index x on users (about)")
        .await;

    assert_eq!(texts(&database, NICKNAMES).unwrap(), ["susan"]);
}

#[tokio::test]
async fn inline_reads_obey_the_access_policy() {
    for service in services() {
        let dir = TestDir::migrated().await;
        let database = dir.ready(service.requirements).await;
        let (own, column) = service.own;

        let owned = texts(&database, &format!("select {column} from {own}"));
        assert!(owned.is_some());
        for statement in denied(&service) {
            assert_eq!(texts(&database, &statement), None, "{statement}");
        }
        for statement in [
            format!("delete from {own}"),
            format!("update {own} set revision = revision"),
            "begin".into(),
            "savepoint x".into(),
            "vacuum".into(),
        ] {
            assert_eq!(texts(&database, &statement), None, "{statement}");
        }
    }
}

#[tokio::test]
async fn a_read_that_is_not_inline_uses_a_connection() {
    let mut off = TestDir::migrated().await;
    off.settings.inline_reads = false;
    let off = (off.ready(&REQUIREMENTS).await, off);
    let on = TestDir::migrated().await;
    let on = (on.ready(&REQUIREMENTS).await, on);

    for (database, mut source, inline) in [
        (&on.0, on.0.read_source(101), true),
        (&on.0, on.0.read_source(102), false),
        (&off.0, off.0.read_source(1), false),
    ] {
        let read = source.try_read_inline(NICKNAMES, &[], text_of);
        assert_eq!(read.is_some(), inline, "{source:?} of {database:?}");

        let connection = source.connection().await.unwrap();
        let rows = sqlx::query(NICKNAMES).fetch_all(connection).await;
        assert!(rows.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_closed_database_rejects_reads() {
    let dir = TestDir::migrated().await;
    let database = dir.ready(&REQUIREMENTS).await;
    assert!(texts(&database, NICKNAMES).is_some());

    database.close().await;

    assert!(texts(&database, NICKNAMES).is_none());
    let mut source = database.read_source(1);
    let rejected = source.connection().await.map(drop);
    assert!(matches!(rejected, Err(sqlx::Error::PoolClosed)));
}

#[tokio::test]
async fn a_column_of_another_type_fails_the_inline_read() {
    let dir = TestDir::migrated().await;
    let database = dir.ready(&REQUIREMENTS).await;
    dir.execute(&insert(&["susan"])).await;

    let source = database.read_source(1);
    let read = source.try_read_inline(NICKNAMES, &[], |row| row.integer().map(drop));

    assert_eq!(read, None);
}
