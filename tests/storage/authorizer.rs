//! SQLite's authorizer restricts each connection of a service to the tables of the service.

use chassis::database::{Atomicity, Error, Requirements, sqlite::Database};
use sqlx::AssertSqlSafe;

use super::TestDir;

/// A service, with the names that its statements use in these tests.
pub(super) struct Service {
    pub(super) requirements: &'static Requirements,
    /// A table of the service, and one of its text columns.
    pub(super) own: (&'static str, &'static str),
    /// A table of the other service, and one of its text columns.
    other: (&'static str, &'static str),
    /// The idempotency records of the other service.
    requests: &'static str,
    /// The column of the other service's table that a foreign key reads.
    key: &'static str,
}

pub(super) fn services() -> [Service; 2] {
    [
        Service {
            requirements: &user_service::store::sqlite::REQUIREMENTS,
            own: ("users", "nickname"),
            other: ("posts", "body"),
            requests: "post_requests",
            key: "user_id",
        },
        Service {
            requirements: &post_service::store::sqlite::REQUIREMENTS,
            own: ("posts", "body"),
            other: ("users", "nickname"),
            requests: "user_requests",
            key: "id",
        },
    ]
}

/// Returns statements that are valid, and denied to the service.
pub(super) fn denied(service: &Service) -> Vec<String> {
    let Service {
        own: (own, own_column),
        other: (other, column),
        requests,
        key,
        ..
    } = service;
    [
        // Tables of the other service, in every part of a statement.
        format!("select {column} from {other}"),
        format!("select count(*) from {other}"),
        format!("select 1 from {other}"),
        format!("select result from {requests}"),
        format!("select {key}, {column} from {other}"),
        format!("select {other}.{column} from {own} join {other} on {other}.id = {own}.id"),
        format!("select {own}.id from {own} join {other} on {other}.{column} = {own_column}"),
        format!("select id from {own} where exists (select 1 from {other})"),
        format!("select id from {own} where {own_column} in (select {column} from {other})"),
        format!("select id from {own} union all select length({column}) from {other}"),
        format!("with x as (select {column} from {other}) select 1 from x"),
        format!("explain select {column} from {other}"),
        format!("explain query plan select {column} from {other}"),
        format!("insert into {other} ({column}) values ('x')"),
        format!("insert into {own} ({own_column}) select {column} from {other}"),
        format!("replace into {other} (id, {column}) values (1, 'x')"),
        format!("update {other} set {column} = 'x'"),
        format!("update {other} set {key} = 1"),
        format!("update {own} set {own_column} = (select {column} from {other})"),
        format!("delete from {other}"),
        format!("delete from {other} where {key} = 1"),
        format!("delete from {requests}"),
        // Changes of the schema, even of the tables of the service.
        "create table x (y)".into(),
        "create temp table x (y)".into(),
        "create view x as select 1".into(),
        format!("create temp view x as select {column} from {other}"),
        format!("create index x on {own} ({own_column})"),
        format!("create trigger x after insert on {own} begin select 1; end"),
        "create virtual table x using dbstat".into(),
        format!("alter table {own} add column x text"),
        format!("alter table {own} rename to x"),
        format!("drop table {own}"),
        format!("drop table {other}"),
        "select name from sqlite_schema".into(),
        "delete from sqlite_sequence".into(),
        "reindex".into(),
        "analyze".into(),
        "select name from dbstat".into(),
        // Tables of the migrator.
        "select checksum from _sqlx_migrations".into(),
        "select count(*) from _sqlx_migrations".into(),
        "delete from _sqlx_migrations".into(),
        "update _sqlx_migrations set success = true".into(),
        "select up from _migrator_tokens".into(),
        "delete from _migrator_tokens".into(),
        // Other files, and pragmas.
        "attach database ':memory:' as x".into(),
        "pragma writable_schema = on".into(),
        "pragma journal_mode = delete".into(),
        "pragma journal_mode".into(),
        "pragma foreign_keys = off".into(),
        "pragma synchronous = off".into(),
        "pragma query_only = off".into(),
        "pragma optimize".into(),
        format!("pragma table_info({other})"),
        format!("select name from pragma_table_info('{other}')"),
        // Endless or expensive computations, and functions that access more than the database.
        "with recursive n (x) as (select 1 union all select x + 1 from n) select x from n".into(),
        "select load_extension('x')".into(),
        "select randomblob(1000000000)".into(),
        "select printf('%1000000000d', 1)".into(),
        "select sqlite_version()".into(),
    ]
    .into()
}

/// Executes a statement on a read connection.
async fn read(database: &Database, statement: &str) -> Result<(), sqlx::Error> {
    let mut reader = database.reader().await.unwrap();
    let statement = sqlx::query(AssertSqlSafe(statement));
    statement.fetch_all(&mut *reader).await.map(drop)
}

/// Executes a statement on the write connection.
async fn write(database: &Database, statement: &str) -> Result<(), Error> {
    let statement = statement.to_owned();
    database
        .write(Atomicity::Savepoint, move |connection| {
            Box::pin(async move {
                let statement = sqlx::query(AssertSqlSafe(statement));
                statement.fetch_all(connection).await?;
                Ok(())
            })
        })
        .await
}

#[track_caller]
fn assert_denied(statement: &str, error: &sqlx::Error) {
    let error = error.as_database_error().expect("not an error of SQLite");
    let message = error.message();
    // For a function, SQLite returns a generic code, and only the message tells the reason.
    assert!(
        error.code().as_deref() == Some("23") || message.starts_with("not authorized"),
        "{statement}: {message}"
    );
}

/// Returns SQLite's result code.
fn code(result: Result<(), Error>) -> Option<String> {
    match result.unwrap_err() {
        Error::Engine(error) => Some(error.as_database_error()?.code()?.into_owned()),
        _ => None,
    }
}

#[tokio::test]
async fn a_read_connection_accesses_only_the_tables_of_its_service() {
    for service in services() {
        let dir = TestDir::migrated().await;
        let database = dir.ready(service.requirements).await;

        // A write executes in a transaction, where SQLite rejects VACUUM in any case.
        let vacuum = "vacuum into '/dev/null/x'".to_owned();
        for statement in denied(&service).into_iter().chain([vacuum]) {
            let result = read(&database, &statement).await;
            assert_denied(&statement, &result.expect_err(&statement));
        }
    }
}

#[tokio::test]
async fn the_write_connection_accesses_only_the_tables_of_its_service() {
    for service in services() {
        let dir = TestDir::migrated().await;
        let database = dir.ready(service.requirements).await;

        for statement in denied(&service) {
            match write(&database, &statement).await {
                Err(Error::Engine(error)) => assert_denied(&statement, &error),
                other => panic!("{statement}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn denied_statements_are_valid_without_the_authorizer() {
    for service in services() {
        let dir = TestDir::migrated().await;
        let mut connection = dir.connect().await;

        let mut wrong = Vec::new();
        for statement in denied(&service) {
            use sqlx::{Executor, SqlSafeStr};

            let prepared = connection.prepare(AssertSqlSafe(statement.clone()).into_sql_str());
            if let Err(error) = prepared.await {
                wrong.push(format!("{statement}: {error}"));
            }
        }

        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

#[tokio::test]
async fn a_service_reads_its_tables_and_the_schema_version() {
    for service in services() {
        let dir = TestDir::migrated().await;
        let database = dir.ready(service.requirements).await;
        let (own, column) = service.own;

        for statement in [
            format!("select id, {column} from {own}"),
            format!("select count(*), max(id) from {own}"),
            format!(
                "select {own}.id from json_each('[1]') as asked join {own} on {own}.id = value"
            ),
            format!(
                "select {own}.id from jsonb_each('[[1]]') as asked join {own} on {own}.id = value ->> 0"
            ),
            "select max(version) from _sqlx_migrations where success".into(),
        ] {
            let result = read(&database, &statement).await;
            assert!(result.is_ok(), "{statement}: {result:?}");
        }
    }
}

/// SQLite does not distinguish the check of a foreign key from a query of its column. The check of a
/// row id is distinct, since it is a read of the table without a column.
#[tokio::test]
async fn only_the_authors_of_posts_are_readable_by_the_other_service() {
    let dir = TestDir::migrated().await;
    let users = dir.ready(&user_service::store::sqlite::REQUIREMENTS).await;
    let posts = dir.ready(&post_service::store::sqlite::REQUIREMENTS).await;

    let authors = read(&users, "select user_id from posts").await;
    assert!(authors.is_ok(), "{authors:?}");
    for statement in [
        "select id from users",
        "select max(id) from users",
        "select posts.id from posts join users on users.id = posts.user_id",
    ] {
        let result = read(&posts, statement).await;
        assert_denied(statement, &result.expect_err(statement));
    }
}

#[tokio::test]
async fn a_read_connection_cannot_write() {
    for service in services() {
        let dir = TestDir::migrated().await;
        let database = dir.ready(service.requirements).await;
        let statement = format!("delete from {}", service.own.0);

        let error = read(&database, &statement).await.unwrap_err();

        // SQLITE_READONLY
        assert_eq!(error.as_database_error().unwrap().code().unwrap(), "8");
    }
}

/// A script that inserts two users, and a post of the first one.
const TWO_USERS: &str = "
    insert into users
        (nickname, nickname_key, email, email_key, role, create_time, update_time, revision)
    values ('susan', 'susan', 's@example.com', 's@example.com', 0, 0, 0, 1),
        ('john', 'john', 'j@example.com', 'j@example.com', 0, 1, 1, 1);
    insert into posts (body, create_time, update_time, revision, user_id)
    values ('first', 0, 0, 1, 1)";

#[tokio::test]
async fn the_user_service_deletes_only_users_without_posts() {
    let dir = TestDir::migrated().await;
    dir.execute(TWO_USERS).await;
    let database = dir.ready(&user_service::store::sqlite::REQUIREMENTS).await;

    let author = write(&database, "delete from users where id = 1").await;
    let everybody = write(&database, "delete from users").await;
    let other = write(&database, "delete from users where id = 2").await;

    // SQLITE_CONSTRAINT_TRIGGER, by which SQLite reports RESTRICT.
    assert_eq!(code(author).as_deref(), Some("1811"));
    assert_eq!(code(everybody).as_deref(), Some("1811"));
    assert!(other.is_ok(), "{other:?}");
    assert_eq!(dir.nicknames().await, ["susan"]);
}

#[tokio::test]
async fn the_post_service_inserts_posts_only_of_existing_users() {
    let dir = TestDir::migrated().await;
    dir.execute(TWO_USERS).await;
    let database = dir.ready(&post_service::store::sqlite::REQUIREMENTS).await;
    let insert = |author: i64| {
        format!(
            "insert into posts (body, create_time, update_time, revision, user_id)
            values ('x', 1, 1, 1, {author})"
        )
    };

    let of_existing = write(&database, &insert(2)).await;
    let of_missing = write(&database, &insert(3)).await;

    assert!(of_existing.is_ok(), "{of_existing:?}");
    // SQLITE_CONSTRAINT_FOREIGNKEY
    assert_eq!(code(of_missing).as_deref(), Some("787"));
}
