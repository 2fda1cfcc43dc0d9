//! A run is committed as a whole or rolled back, and keeps existing rows.

use std::time::Duration;

use migrator::{Direction, Error, ExecuteError, Migrations, PlanError, Run};

use crate::{TestDir, migrations};

const TABLES: &str = "select name from sqlite_schema
                      where type = 'table' and name not like '\\_%' escape '\\' order by name";

const HISTORY: &str = "select version || ' ' || description from _sqlx_migrations order by version";

/// A referring and a referenced table, with rows in both.
const PARENT_AND_CHILD: (&str, &str) = (
    "create table parents (id integer primary key);
     create table children (id integer primary key,
                            parent_id integer references parents (id) on delete cascade);
     insert into parents values (1), (2);
     insert into children values (10, 1), (20, 2);",
    "drop table children; drop table parents;",
);

#[tokio::test]
async fn a_failing_migration_rolls_back_the_whole_run() {
    let dir = TestDir::new();
    let migrator = dir.migrator_with(migrations(&[
        ("create table a (id)", "drop table a"),
        (
            "create table b (id); insert into nowhere values (1); create table c (id)",
            "",
        ),
        ("create table d (id)", "drop table d"),
    ]));
    migrator.create().await.unwrap();

    let error = migrator.run(Run::upgrade()).await.unwrap_err();

    let line = process::ExitError::from(error);
    assert_eq!(line.exit_code(), 1);
    let line = line.to_string();
    assert!(
        line.starts_with(
            "migration 0002 step could not be applied, \
             at test/migrations/0002_step.up.sql:1:22; nothing was changed"
        ),
        "{line}"
    );
    assert!(line.ends_with("no such table: nowhere"), "{line}");
    assert!(dir.query(TABLES).await.is_empty());
    assert!(dir.query(HISTORY).await.is_empty());
}

#[tokio::test]
async fn a_failing_down_script_keeps_the_version() {
    let dir = TestDir::new();
    let migrator = dir.migrator_with(migrations(&[
        ("create table a (id)", "drop table nowhere"),
        ("create table b (id)", "drop table b"),
    ]));
    migrator.run(Run::upgrade()).await.unwrap();

    let error = migrator.run(Run::downgrade_to(0)).await.unwrap_err();

    let first = matches!(
        error.cause(),
        Error::Execute(ExecuteError::Script {
            number: 1,
            direction: Direction::Down,
            ..
        })
    );
    assert!(first, "{error}");
    assert_eq!(dir.query(TABLES).await, ["a", "b"]);
    assert_eq!(dir.query(HISTORY).await.len(), 2);
}

#[tokio::test]
async fn a_script_cannot_end_the_transaction_of_the_run() {
    for script in [
        "create table b (id); commit",
        "create table b (id); commit; begin",
        "create table b (id); end; create table c (id)",
        "create table b (id); rollback",
        "rollback; create table b (id)",
        "rollback; begin; create table b (id)",
        "release migration; commit; begin; savepoint migration",
    ] {
        let dir = TestDir::new();
        let first = ("create table a (id)", "drop table a");
        let migrator = dir.migrator_with(migrations(&[first, (script, "")]));
        migrator.create().await.unwrap();

        let error = migrator.run(Run::upgrade()).await.unwrap_err();

        assert!(
            matches!(
                error.cause(),
                Error::Execute(ExecuteError::Forbidden { .. })
            ),
            "{script}: {error}"
        );
        assert!(dir.query(TABLES).await.is_empty(), "{script}");
        assert!(dir.query(HISTORY).await.is_empty(), "{script}");
    }
}

#[tokio::test]
async fn a_statement_that_rolls_back_ends_the_run() {
    let dir = TestDir::new();
    let migrator = dir.migrator_with(migrations(&[
        ("create table a (id integer primary key)", "drop table a"),
        (
            "create table b (id); insert or rollback into a values (1); create table c (id)",
            "",
        ),
    ]));
    migrator.run(Run::upgrade_to(1)).await.unwrap();
    dir.execute("insert into a values (1)").await;

    let error = migrator.run(Run::upgrade()).await.unwrap_err();

    assert_eq!(error.location().unwrap().column, 22, "{error}");
    assert_eq!(dir.query(TABLES).await, ["a"]);
    assert_eq!(dir.query(HISTORY).await, ["1 step"]);
}

#[tokio::test]
async fn a_foreign_key_violation_ends_the_run_and_is_named() {
    let dir = TestDir::new();
    let migrator = dir.migrator_with(migrations(&[
        PARENT_AND_CHILD,
        (
            "create table b (id); delete from parents where id = 2",
            "drop table b",
        ),
    ]));
    migrator.run(Run::upgrade_to(1)).await.unwrap();

    let error = migrator.run(Run::upgrade()).await.unwrap_err();

    assert_eq!(
        error.to_string(),
        "row 20 of children refers to a missing row of parents; nothing was changed"
    );
    assert_eq!(dir.query("select id || '' from parents").await, ["1", "2"]);
    assert_eq!(dir.query(TABLES).await, ["children", "parents"]);
    assert_eq!(dir.query(HISTORY).await, ["1 step"]);
}

#[tokio::test]
async fn a_rebuilt_table_keeps_its_referring_rows() {
    let dir = TestDir::new();
    let rebuild = "create table new_parents (id integer primary key, name text not null) strict;
                   insert into new_parents (id, name) select id, 'nobody' from parents;
                   drop table parents;
                   alter table new_parents rename to parents;";
    let migrator = dir.migrator_with(migrations(&[PARENT_AND_CHILD, (rebuild, "")]));
    migrator.run(Run::upgrade_to(1)).await.unwrap();

    migrator.run(Run::upgrade()).await.unwrap();

    assert_eq!(
        dir.query("select id || ' ' || parent_id from children")
            .await,
        ["10 1", "20 2"]
    );
    assert_eq!(
        dir.query("select name from parents where id = 2").await,
        ["nobody"]
    );
}

#[tokio::test]
async fn a_migration_out_of_order_is_not_applied() {
    let dir = TestDir::new();
    let migrator = dir.migrator_with(migrations(&[
        ("create table a (id)", "drop table a"),
        ("create table b (id)", "drop table b"),
    ]));
    migrator.run(Run::upgrade()).await.unwrap();
    dir.execute("delete from _sqlx_migrations where version = 1")
        .await;

    let error = migrator.run(Run::upgrade()).await.unwrap_err();

    assert!(
        matches!(
            error.cause(),
            Error::Plan(PlanError::OutOfOrder {
                number: 1,
                applied: 2,
                ..
            })
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_hole_in_the_history_is_not_called_drift() {
    for (first, second) in [
        ("create table a (id)", "create table b (id)"),
        // The second script alone fails.
        ("create table a (id)", "alter table a add column b"),
        ("create table a (id)", "create index a_id on a (id)"),
    ] {
        for lost in ["version = 1", "version = 2", "version < 3"] {
            let dir = TestDir::new();
            let migrator = dir.migrator_with(migrations(&[
                (first, "drop table a"),
                (second, "select 1"),
                ("create table c (id)", "drop table c"),
            ]));
            migrator.run(Run::upgrade()).await.unwrap();
            dir.execute(&format!("delete from _sqlx_migrations where {lost}"))
                .await;
            let before = dir.query("select sql from sqlite_schema").await;

            let down = migrator.run(Run::downgrade()).await.unwrap_err();
            let all = migrator.run(Run::downgrade_to(0)).await.unwrap_err();
            let up = migrator.run(Run::upgrade()).await.unwrap_err();
            let diff = migrator.diff().await.unwrap_err();

            for error in [down, all] {
                let found = (error.exit_code(), error.reason());
                assert_eq!(
                    found,
                    (6, "INCOMPLETE_HISTORY"),
                    "{second}, {lost}: {error}"
                );
                let number = if lost == "version = 2" { 2 } else { 1 };
                let lacks = format!("lacks migration 000{number} step");
                assert!(error.line().contains(&lacks), "{error}");
            }
            assert_eq!(
                [up.exit_code(), diff.exit_code()],
                [6, 6],
                "{second}, {lost}"
            );
            assert_eq!(dir.query("select sql from sqlite_schema").await, before);
        }
    }
}

#[tokio::test]
async fn a_migration_that_was_never_applied_does_not_stop_a_downgrade() {
    let dir = TestDir::new();
    let (a, c) = (
        ("create table a (id)", "drop table a"),
        ("create table c (id)", "drop table c"),
    );
    let files = [
        ("test", "0001_a.up.sql", a.0),
        ("test", "0001_a.down.sql", a.1),
        ("test", "0003_c.up.sql", c.0),
        ("test", "0003_c.down.sql", c.1),
    ];
    let merged = [
        ("test", "0002_b.up.sql", "create table b (id)"),
        ("test", "0002_b.down.sql", "drop table b"),
    ];
    let first = Migrations::from_files(files).unwrap();
    dir.migrator_with(first).run(Run::upgrade()).await.unwrap();
    let migrator =
        dir.migrator_with(Migrations::from_files(merged.into_iter().chain(files)).unwrap());

    let down = migrator.run(Run::downgrade()).await.unwrap();
    let up = migrator.run(Run::upgrade()).await.unwrap();

    assert_eq!((down.version, up.version), (1, 3));
    assert_eq!(dir.query(TABLES).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn an_empty_migration_is_applied_and_reverted() {
    let dir = TestDir::new();
    let migrator = dir.migrator_with(migrations(&[("-- nothing yet", "")]));

    let up = migrator.run(Run::upgrade()).await.unwrap();
    let down = migrator.run(Run::downgrade()).await.unwrap();

    assert_eq!((up.version, up.steps.len(), up.created), (1, 1, true));
    assert_eq!(
        (down.version, down.steps.len(), down.created),
        (0, 1, false)
    );
}

#[tokio::test]
async fn a_run_without_migrations_does_nothing() {
    let dir = TestDir::new();
    let migrator = dir.migrator_with(migrations(&[]));

    let created = migrator.run(Run::upgrade()).await.unwrap();
    let again = migrator.run(Run::upgrade()).await.unwrap();

    assert_eq!((created.version, created.created), (0, true));
    assert_eq!((again.version, again.created), (0, false));
}

#[tokio::test]
async fn a_cancelled_run_leaves_nothing() {
    let dir = TestDir::new();
    let endless = "create table b (id);
                   with recursive n (i) as (select 1 union all select i + 1 from n where i < 9000000)
                   select max(i) from n;
                   create table c (id)";
    let first = ("create table a (id)", "drop table a");
    let migrator = dir.migrator_with(migrations(&[first, (endless, "")]));
    migrator.run(Run::upgrade_to(1)).await.unwrap();

    let run = migrator.run(Run::upgrade());
    let given_up = tokio::time::timeout(Duration::from_millis(20), run).await;
    // Waits for the end of the running statement.
    let dry = Run {
        dry_run: true,
        ..Run::upgrade_to(1)
    };
    migrator.run(dry).await.unwrap();

    assert!(given_up.is_err());
    assert_eq!(dir.query(TABLES).await, ["a"]);
    assert_eq!(dir.query(HISTORY).await, ["1 step"]);
}

#[tokio::test]
async fn a_run_can_be_spawned_as_a_task() {
    let dir = TestDir::new();
    let migrator = dir.migrator();

    let report = tokio::spawn(async move {
        migrator.create().await?;
        migrator.run(Run::upgrade()).await?;
        migrator.status().await?;
        migrator.run(Run::downgrade()).await
    });

    assert_eq!(report.await.unwrap().unwrap().version, 1);
}
