//! `baseline` accepts exactly the schema of a version.

use std::fs;

use migrator::{DatabaseError, Error, Migrations, PlanError, Run};

use crate::{TestDir, migrations};

fn two() -> Migrations {
    migrations(&[
        (
            "create table a (id integer primary key, b text)",
            "drop table a",
        ),
        ("create index a_b on a (b)", "drop index a_b"),
    ])
}

#[tokio::test]
async fn a_matching_schema_is_baselined_with_its_rows() {
    for made in [
        "create table A (b TEXT, id integer primary key)",
        "pragma journal_mode = wal; create table a (id integer primary key, b text)",
        "create table a (id integer primary key, b text);
         create table _sqlx_migrations (
             version bigint primary key, description text not null,
             installed_on timestamp not null default current_timestamp,
             success boolean not null, checksum blob not null, execution_time bigint not null)",
    ] {
        let dir = TestDir::new();
        dir.execute(made).await;
        dir.execute("insert into a (id, b) values (1, 'x')").await;
        let migrator = dir.migrator_with(two());

        let report = migrator.baseline(1).await.unwrap();
        let status = migrator.status().await.unwrap();
        let upgraded = migrator.run(Run::upgrade()).await.unwrap();

        assert_eq!(
            report.to_string(),
            "Baselined 0001 step (test)\nCurrent database version: 1\n"
        );
        assert_eq!(status.version, 1);
        assert_eq!((upgraded.version, upgraded.steps.len()), (2, 1));
        assert_eq!(dir.query("select b from a").await, ["x"]);
        assert_eq!(dir.query("pragma journal_mode").await, ["wal"]);
    }
}

#[tokio::test]
async fn another_schema_is_refused_unchanged() {
    for made in [
        "create table a (id integer primary key)",
        "create table a (id integer primary key, b text not null)",
        "create table a (id integer primary key, b text); create index a_b on a (b)",
        "create table b (id integer primary key); create table a (id integer primary key)",
    ] {
        let dir = TestDir::new();
        dir.execute(made).await;
        let before = fs::read(dir.path()).unwrap();

        let error = dir.migrator_with(two()).baseline(1).await.unwrap_err();

        assert_eq!((error.exit_code(), error.reason()), (4, "DRIFT"), "{made}");
        assert_eq!(error.line().lines().count(), 1);
        assert!(before == fs::read(dir.path()).unwrap(), "{made}");
    }
}

#[tokio::test]
async fn a_database_with_a_history_or_owner_is_not_baselined() {
    let dir = TestDir::new();
    let migrator = dir.migrator_with(two());
    migrator.run(Run::upgrade_to(1)).await.unwrap();
    let foreign = TestDir::new();
    foreign.execute("pragma application_id = 7").await;
    let sqlx = TestDir::new();
    sqlx.migrator_with(two()).run(Run::upgrade()).await.unwrap();
    sqlx.execute("pragma application_id = 0").await;

    let adopted = migrator.baseline(1).await.unwrap_err();
    let foreign = foreign.migrator_with(two()).baseline(1).await.unwrap_err();
    let sqlx = sqlx.migrator_with(two()).baseline(2).await.unwrap_err();

    assert!(matches!(
        adopted.cause(),
        Error::Plan(PlanError::AlreadyBaselined { version: 1, .. })
    ));
    assert!(
        matches!(
            foreign.cause(),
            Error::Database(DatabaseError::Foreign { .. })
        ),
        "{foreign}"
    );
    assert!(
        matches!(sqlx.cause(), Error::Database(DatabaseError::Foreign { .. })),
        "{sqlx}"
    );
}

#[tokio::test]
async fn a_database_of_another_application_is_not_baselined() {
    for made in [
        "create table notes (id integer primary key)",
        "create table notes (id); create view a as select 1",
        // A virtual table, whose module this SQLite may lack.
        "create table a_first (id); pragma writable_schema = on;
         insert into sqlite_schema values
             ('table', 'notes', 'notes', 0, 'create virtual table notes using fts5 (a)')",
        "create table _sqlx_migrations (id, name)",
        "create table _sqlx_migrations (id, name); insert into _sqlx_migrations values (1, 'x');
         create table a (id integer primary key, b text)",
        "pragma application_id = 7; create table a (id integer primary key, b text)",
    ] {
        for version in [0, 1, 2] {
            let dir = TestDir::new();
            dir.execute(made).await;
            let before = fs::read(dir.path()).unwrap();

            let migrator = dir.migrator_with(two());
            let error = migrator.baseline(version).await.unwrap_err();

            let found = (error.exit_code(), error.reason());
            assert_eq!(found, (7, "FOREIGN_DATABASE"), "{made}: {error}");
            assert!(before == fs::read(dir.path()).unwrap(), "{made}");
        }
    }
}

#[tokio::test]
async fn baseline_needs_a_database_and_a_version() {
    let dir = TestDir::new();
    let migrator = dir.migrator_with(two());

    let missing = migrator.baseline(1).await.unwrap_err();
    let unknown = migrator.baseline(9).await.unwrap_err();

    assert!(
        matches!(
            missing.cause(),
            Error::Database(DatabaseError::NotFound { .. })
        ),
        "{missing}"
    );
    assert!(matches!(
        unknown.cause(),
        Error::Plan(PlanError::UnknownTarget { number: 9, .. })
    ));
    assert!(!dir.path().exists());
}
