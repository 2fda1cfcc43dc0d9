//! An applied migration may change its spelling, but not its tokens.

use migrator::{Error, MigrationState, PlanError, Run};

use crate::{TestDir, migrations};

const BEFORE: (&str, &str) = ("create table a (id, b)", "drop table a");

#[tokio::test]
async fn comments_whitespace_and_case_do_not_matter() {
    for up in [
        "-- Why.\ncreate table a (id, b)",
        "CREATE  TABLE a\n(\n  id, -- the id\n  b\n)",
        "create table \"a\" (id, b)",
    ] {
        let dir = TestDir::new();
        let before = dir.migrator_with(migrations(&[BEFORE]));
        before.run(Run::upgrade()).await.unwrap();
        let migrator = dir.migrator_with(migrations(&[(up, BEFORE.1), ("", "")]));

        let status = migrator.status().await.unwrap();
        let up = migrator.run(Run::upgrade()).await.unwrap();
        let down = migrator.run(Run::downgrade_to(0)).await.unwrap();

        assert_eq!(
            status.migrations[0].state,
            MigrationState::Applied,
            "{status}"
        );
        assert_eq!((up.version, down.version), (2, 0));
    }
}

#[tokio::test]
async fn a_down_script_may_be_corrected_later() {
    let dir = TestDir::new();
    let before = dir.migrator_with(migrations(&[(BEFORE.0, "drop table nowhere")]));
    before.run(Run::upgrade()).await.unwrap();

    let report = dir
        .migrator_with(migrations(&[BEFORE]))
        .run(Run::downgrade())
        .await
        .unwrap();

    assert_eq!(report.version, 0);
}

#[tokio::test]
async fn missing_token_hashes_are_backfilled_by_the_next_run() {
    let dir = TestDir::new();
    let before = dir.migrator_with(migrations(&[BEFORE]));
    before.run(Run::upgrade()).await.unwrap();
    dir.execute("drop table _migrator_tokens").await;
    let edited = ("create table a (id, b) -- as it was", BEFORE.1);
    let after = dir.migrator_with(migrations(&[edited]));

    let changed = after.run(Run::upgrade()).await.unwrap_err();
    let status = after.status().await.unwrap();
    before.run(Run::upgrade()).await.unwrap();
    let report = after.run(Run::upgrade()).await.unwrap();

    // Without token hashes, only the bytes are compared.
    assert!(matches!(
        changed.cause(),
        Error::Plan(PlanError::Changed { number: 1, .. })
    ));
    assert_eq!(status.migrations[0].state, MigrationState::Changed);
    assert_eq!(report.version, 1);
    let rows = dir
        .query("select version || ' ' || length(up) || ' ' || length(down) from _migrator_tokens")
        .await;
    assert_eq!(rows, ["1 32 32"]);
}

#[tokio::test]
async fn a_reverted_migration_leaves_no_token_hash() {
    let dir = TestDir::new();
    let migrator = dir.migrator();

    migrator.run(Run::upgrade()).await.unwrap();
    migrator.run(Run::downgrade()).await.unwrap();

    let rows = dir
        .query("select version || '' from _migrator_tokens")
        .await;
    assert_eq!(rows, ["1"]);
}
