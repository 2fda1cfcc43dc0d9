//! The reports of statements: locations of failures, changed rows, and dry runs.

use std::fs;

use migrator::{Error, ExecuteError, Run};

use crate::{TestDir, migrations};

#[tokio::test]
async fn a_syntax_error_has_its_line_and_column() {
    for (script, line, column) in [
        ("selec 1", 1, 1),
        ("create table b (id);\n\n  selec 1", 3, 3),
        (
            "create table b (id);\ninsert into b (id)\nvalues (1,, 2)",
            3,
            11,
        ),
        ("-- é\nselect 'é', nowhere", 2, 13),
        (
            "create trigger t after insert on a begin\n  select 1;\n  delete fro a;\nend",
            3,
            10,
        ),
    ] {
        let dir = TestDir::new();
        let scripts = [("create table a (id)", ""), (script, "")];
        let migrator = dir.migrator_with(migrations(&scripts));

        let error = migrator.run(Run::upgrade()).await.unwrap_err();

        let at = error.location().unwrap();
        assert_eq!(at.file, "test/migrations/0002_step.up.sql");
        assert_eq!((at.line, at.column), (line, column), "{script}: {error}");
        assert_eq!(error.exit_code(), 1);
        assert_eq!(error.reason(), "FAILED_STATEMENT");
        assert_eq!(error.line().lines().count(), 1);
    }
}

#[tokio::test]
async fn a_failure_on_rows_has_the_start_of_its_statement() {
    let dir = TestDir::new();
    let migrator = dir.migrator_with(migrations(&[
        ("create table a (id integer primary key, b)", ""),
        (
            "-- The values of b are known to be different.\n\
             \n  create unique index one on a (b);",
            "",
        ),
    ]));
    migrator.run(Run::upgrade_to(1)).await.unwrap();
    dir.execute("insert into a (b) values (1), (1)").await;

    let error = migrator.run(Run::upgrade()).await.unwrap_err();

    assert_eq!(
        error.line(),
        "migration 0002 step could not be applied, at test/migrations/0002_step.up.sql:3:3; \
         nothing was changed: (code: 2067) \
         UNIQUE constraint failed: a.b"
    );
}

#[tokio::test]
async fn a_not_null_column_fails_only_on_rows() {
    let scripts = [
        ("create table a (id)", "drop table a"),
        (
            "alter table a add column b text not null",
            "alter table a drop column b",
        ),
    ];
    for (rows, succeeds) in [("", true), ("insert into a values (1)", false)] {
        let dir = TestDir::new();
        let migrator = dir.migrator_with(migrations(&scripts));
        migrator.run(Run::upgrade_to(1)).await.unwrap();
        dir.execute(rows).await;

        let result = migrator.run(Run::upgrade()).await;

        assert_eq!(result.is_ok(), succeeds, "{rows}");
    }
}

#[tokio::test]
async fn the_report_has_each_statement_with_its_rows() {
    let dir = TestDir::new();
    let migrator = dir.migrator_with(migrations(&[(
        "create table a (id integer primary key, b);\n\
         insert into a (b) values (1), (2), (3);\n\
         update a set b = 4 where id > 1;\n\
         create index a_b on a (b);\n\
         delete from a where id = 1",
        "drop table a",
    )]));

    let report = migrator.run(Run::upgrade()).await.unwrap();

    let statements = &report.steps[0].statements;
    let told: Vec<_> = statements
        .iter()
        .map(|executed| (executed.line, executed.rows))
        .collect();
    assert_eq!(told, [(1, 0), (2, 3), (3, 2), (4, 0), (5, 1)]);
    assert_eq!(statements[3].sql, "create index a_b on a (b)");
    let sum: std::time::Duration = statements.iter().map(|executed| executed.elapsed).sum();
    assert_eq!(report.steps[0].elapsed, sum);
}

#[tokio::test]
async fn a_dry_run_reports_the_effects_and_changes_nothing() {
    let dir = TestDir::new();
    let migrator = dir.migrator_with(migrations(&[
        ("create table a (id)", "drop table a"),
        ("insert into a values (1), (2)", "delete from a"),
    ]));
    migrator.run(Run::upgrade_to(1)).await.unwrap();
    let before = fs::read(dir.path()).unwrap();

    let dry = Run {
        dry_run: true,
        ..Run::upgrade()
    };
    let up = migrator.run(dry).await.unwrap();
    let dry = Run {
        dry_run: true,
        ..Run::downgrade()
    };
    let down = migrator.run(dry).await.unwrap();

    assert!(before == fs::read(dir.path()).unwrap());
    assert_eq!((up.version_before, up.version), (1, 2));
    assert_eq!((down.version_before, down.version), (1, 0));
    let text = up.to_string();
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}: {text}"));
    assert!(at("Dry run") < at("0002 step"));
    assert!(at("0002 step") < at("    insert into a values (1), (2)\n    -- 2 rows, "));
    assert!(text.ends_with("The database would be at version 2\nCurrent database version: 1\n"));
}

#[tokio::test]
async fn a_dry_run_creates_no_file() {
    let dir = TestDir::new();
    let dry = Run {
        dry_run: true,
        ..Run::upgrade()
    };

    let report = dir.migrator().run(dry).await.unwrap();

    assert_eq!((report.version, report.created), (2, true));
    assert!(!dir.path().exists());
}

#[tokio::test]
async fn a_dry_run_fails_as_the_run_would() {
    let dir = TestDir::new();
    let migrator = dir.migrator_with(migrations(&[
        ("create table a (id)", ""),
        ("create unique index one on a (id)", ""),
    ]));
    migrator.run(Run::upgrade_to(1)).await.unwrap();
    dir.execute("insert into a values (1), (1)").await;
    let dry = Run {
        dry_run: true,
        ..Run::upgrade()
    };

    let error = migrator.run(dry).await.unwrap_err();

    assert!(
        matches!(
            error.cause(),
            Error::Execute(ExecuteError::Script { number: 2, .. })
        ),
        "{error}"
    );
}

#[tokio::test]
async fn existing_foreign_key_violations_do_not_stop_a_run() {
    let dir = TestDir::new();
    let migrator = dir.migrator_with(migrations(&[
        (
            "create table a (id integer primary key);
             create table b (id integer primary key, a_id integer references a (id));",
            "",
        ),
        ("create table c (id)", ""),
        ("insert into b values (3, 8)", ""),
    ]));
    migrator.run(Run::upgrade_to(1)).await.unwrap();
    dir.execute("pragma foreign_keys = off; insert into b values (1, 9), (2, 9)")
        .await;

    let report = migrator.run(Run::upgrade_to(2)).await.unwrap();
    let error = migrator.run(Run::upgrade()).await.unwrap_err();

    assert_eq!(report.orphans, 2);
    assert!(
        report
            .to_string()
            .contains("2 rows that refer to missing rows"),
        "{report}"
    );
    assert_eq!(
        error.to_string(),
        "row 3 of b refers to a missing row of a; nothing was changed"
    );
    assert_eq!(error.exit_code(), 1);
}
