//! Reads in the thread of their caller: they find what any other connection finds, and
//! are held by the same rules.

use chassis::database::{
    Lifecycle,
    sqlite::{Database, RowCursor, WrongType},
};
use sqlx::Connection;
use user_service::store::sqlite::REQUIREMENTS;

use super::{
    Place,
    authorizer::{denied, services},
};

const NICKNAMES: &str = "select nickname from users order by id";

fn text_of(columns: &mut RowCursor<'_>) -> Result<String, WrongType> {
    columns.text()
}

/// The first columns that a statement finds when it is read directly, if it can be.
fn texts(database: &Database, statement: &str) -> Option<Vec<String>> {
    let statement = statement.to_owned().leak();
    let source = database.read_source(1);
    source.try_read_inline(statement, &[], text_of)
}

/// Users with these nicknames, from outside.
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
async fn every_read_sees_what_was_committed_before_it() {
    let place = Place::migrated().await;
    let database = place.ready(&REQUIREMENTS).await;

    let before = texts(&database, NICKNAMES);
    place.execute(&insert(&["susan"])).await;
    let after = texts(&database, NICKNAMES);
    let mut writer = place.lock().await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(insert(&["john"])))
        .execute(&mut writer)
        .await
        .unwrap();
    let meanwhile = texts(&database, NICKNAMES);
    writer.close().await.unwrap();

    assert_eq!(before.unwrap(), [""; 0]);
    assert_eq!(after.unwrap(), ["susan"]);
    assert_eq!(meanwhile.unwrap(), ["susan"]);
}

#[tokio::test]
async fn a_statement_goes_on_when_the_schema_changes() {
    let place = Place::migrated().await;
    let database = place.ready(&REQUIREMENTS).await;
    place.execute(&insert(&["susan"])).await;
    assert_eq!(texts(&database, NICKNAMES).unwrap(), ["susan"]);

    place
        .execute("alter table users add column about text; create index x on users (about)")
        .await;

    assert_eq!(texts(&database, NICKNAMES).unwrap(), ["susan"]);
}

#[tokio::test]
async fn what_is_denied_to_a_service_is_denied_here_too() {
    for service in services() {
        let place = Place::migrated().await;
        let database = place.ready(service.requirements).await;
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
async fn what_cannot_be_read_directly_is_read_on_a_connection() {
    let mut off = Place::migrated().await;
    off.settings.inline_reads = false;
    let off = (off.ready(&REQUIREMENTS).await, off);
    let on = Place::migrated().await;
    let on = (on.ready(&REQUIREMENTS).await, on);

    for (database, mut source, directly) in [
        (&on.0, on.0.read_source(101), true),
        (&on.0, on.0.read_source(102), false),
        (&off.0, off.0.read_source(1), false),
    ] {
        let read = source.try_read_inline(NICKNAMES, &[], text_of);
        assert_eq!(read.is_some(), directly, "{source:?} of {database:?}");

        let connection = source.connection().await.unwrap();
        let rows = sqlx::query(NICKNAMES).fetch_all(connection).await;
        assert!(rows.unwrap().is_empty());
    }
}

#[tokio::test]
async fn nothing_is_read_any_more_when_the_database_is_closed() {
    let place = Place::migrated().await;
    let database = place.ready(&REQUIREMENTS).await;
    assert!(texts(&database, NICKNAMES).is_some());

    database.close().await;

    assert!(texts(&database, NICKNAMES).is_none());
    let mut source = database.read_source(1);
    let refused = source.connection().await.map(drop);
    assert!(matches!(refused, Err(sqlx::Error::PoolClosed)));
}

#[tokio::test]
async fn a_column_of_another_type_is_no_row() {
    let place = Place::migrated().await;
    let database = place.ready(&REQUIREMENTS).await;
    place.execute(&insert(&["susan"])).await;

    let source = database.read_source(1);
    let read = source.try_read_inline(NICKNAMES, &[], |columns| columns.integer().map(drop));

    assert_eq!(read, None);
}
