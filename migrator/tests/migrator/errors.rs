//! Foreign files, and histories that contradict the migrations.

use std::fs;

use migrator::{Error, MigrationState, PlanError, Run};

use crate::{TestDir, migrations};

/// Asserts a refusal in one line that leaves the file unchanged.
fn assert_refused_as_foreign(dir: &TestDir) {
    let before = fs::read(dir.path()).unwrap();

    for command in ["create", "upgrade", "downgrade", "status"] {
        let run = dir.run(&[command]);

        assert_eq!(run.code, 7, "{command}: {run:?}");
        assert_eq!(run.stderr.lines().count(), 1, "{command}: {run:?}");
        assert!(
            run.stderr.contains("is not a database of the microblog"),
            "{command}: {run:?}"
        );
        assert!(
            before == fs::read(dir.path()).unwrap(),
            "{command} changed the file"
        );
    }
}

#[tokio::test]
async fn a_database_with_another_application_id_is_refused_unchanged() {
    let dir = TestDir::new();
    dir.execute("pragma application_id = 7; create table notes (id integer primary key)")
        .await;

    assert_refused_as_foreign(&dir);
}

#[tokio::test]
async fn an_empty_database_with_another_application_id_is_refused_unchanged() {
    let dir = TestDir::new();
    dir.execute("pragma application_id = 7").await;

    assert_refused_as_foreign(&dir);
}

#[tokio::test]
async fn tables_without_a_history_are_refused_unchanged() {
    for id in [0, database::sqlite::APPLICATION_ID] {
        let dir = TestDir::new();
        dir.execute(&format!(
            "pragma application_id = {id}; create table notes (id)"
        ))
        .await;

        assert_refused_as_foreign(&dir);
    }
}

#[tokio::test]
async fn a_view_without_a_history_is_refused_unchanged() {
    let dir = TestDir::new();
    dir.execute("create view one as select 1").await;

    assert_refused_as_foreign(&dir);
}

#[test]
fn a_file_of_another_format_is_refused_unchanged() {
    for text in ["x", "Dear diary, today", &"lorem ipsum ".repeat(1_000)] {
        let dir = TestDir::new();
        fs::write(dir.path(), text).unwrap();

        assert_refused_as_foreign(&dir);
    }
}

#[test]
fn a_folder_instead_of_the_file_is_refused() {
    let dir = TestDir::new();
    fs::create_dir(dir.path()).unwrap();

    let run = dir.run(&["create"]);

    assert_eq!(run.code, 78, "{run:?}");
    assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
}

#[test]
fn a_folder_that_cannot_be_created_is_refused() {
    let dir = TestDir::new();
    fs::write(dir.path(), "").unwrap();
    let url = format!("sqlite:{}/below/microblog.db", dir.path().display());

    let run = dir.run(&["create", "--database-url", &url]);

    assert_eq!(run.code, 78, "{run:?}");
    assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
}

#[tokio::test]
async fn an_edited_applied_migration_stops_every_run() {
    let dir = TestDir::new();
    let before = migrations(&[("create table a (id)", "drop table a"), ("", "")]);
    dir.migrator_with(before)
        .run(Run::upgrade_to(1))
        .await
        .unwrap();
    let edited = migrations(&[("create table a (id, b)", "drop table a"), ("", "")]);
    let migrator = dir.migrator_with(edited);

    let up = migrator.run(Run::upgrade()).await.unwrap_err();
    let down = migrator.run(Run::downgrade()).await.unwrap_err();
    let status = migrator.status().await.unwrap();

    assert!(
        matches!(
            up.cause(),
            Error::Plan(PlanError::Changed { number: 1, .. })
        ),
        "{up}"
    );
    assert!(
        matches!(
            down.cause(),
            Error::Plan(PlanError::Changed { number: 1, .. })
        ),
        "{down}"
    );
    assert!(
        matches!(status.migrations[0].state, MigrationState::Changed),
        "{status}"
    );
    assert_eq!(status.version, 1);
}

#[tokio::test]
async fn a_database_of_a_newer_migrator_is_refused() {
    let dir = TestDir::new();
    let newer = migrations(&[("", ""), ("", ""), ("", "")]);
    dir.migrator_with(newer).run(Run::upgrade()).await.unwrap();
    let migrator = dir.migrator_with(migrations(&[("", "")]));

    let up = migrator.run(Run::upgrade()).await.unwrap_err();
    let down = migrator.run(Run::downgrade_to(0)).await.unwrap_err();
    let status = migrator.status().await.unwrap();

    assert!(
        up.to_string().contains("was upgraded by a newer migrator"),
        "{up}"
    );
    assert!(
        matches!(
            down.cause(),
            Error::Plan(PlanError::Newer {
                found: 3,
                newest: 1
            })
        ),
        "{down}"
    );
    assert!(
        matches!(status.migrations[2].state, MigrationState::Missing),
        "{status}"
    );
    assert_eq!(status.version, 3);
}

#[tokio::test]
async fn a_contradicting_history_prints_one_line() {
    for edit in [
        "update _sqlx_migrations set checksum = x'00' where version = 1;
         update _migrator_tokens set up = zeroblob(32)",
        "update _sqlx_migrations set version = 99 where version = 2",
        "delete from _sqlx_migrations where version = 1",
    ] {
        let dir = TestDir::new();
        dir.migrator().run(Run::upgrade()).await.unwrap();
        dir.execute(edit).await;

        let run = dir.run(&["upgrade"]);

        assert_eq!(run.code, 6, "{edit}: {run:?}");
        assert_eq!(run.stderr.lines().count(), 1, "{edit}: {run:?}");
        assert_eq!(run.stdout, "", "{edit}");
    }
}
