//! `status`, `wait` and `dump`, which change nothing.

use std::time::Duration;

use migrator::{DatabaseError, Error, MigrationState, PlanError, Run};

use crate::{LOCK_TIMEOUT, TestDir, migrations};

const SOON: Duration = Duration::from_millis(50);

#[tokio::test]
async fn status_reports_each_state_with_its_time() {
    let dir = TestDir::new();
    let all = ["a", "b", "c", "d", "e"].map(|name| (format!("create table {name} (id)"), ""));
    let all: Vec<_> = all.iter().map(|(up, down)| (up.as_str(), *down)).collect();
    let before = dir.migrator_with(migrations(&all));
    before.run(Run::upgrade()).await.unwrap();
    dir.execute(
        "delete from _sqlx_migrations where version = 1;
             update _sqlx_migrations set success = 0, execution_time = -1 where version = 5;
             update _sqlx_migrations set installed_on = '2026-01-02 03:04:05',
                                         execution_time = 17000000
             where version = 2;",
    )
    .await;
    let mut after = all[..4].to_vec();
    after[2].0 = "create table other (id)";
    let migrator = dir.migrator_with(migrations(&after));

    let status = migrator.status().await.unwrap();
    let error = migrator.run(Run::upgrade()).await.unwrap_err();

    let found: Vec<_> = status.migrations.iter().map(|entry| entry.state).collect();
    assert_eq!(
        found,
        [
            MigrationState::OutOfOrder,
            MigrationState::Applied,
            MigrationState::Changed,
            MigrationState::Applied,
            MigrationState::Failed
        ]
    );
    let second = &status.migrations[1];
    assert_eq!(second.applied_at.as_deref(), Some("2026-01-02T03:04:05Z"));
    assert_eq!(second.duration, Some(Duration::from_millis(17)));
    assert_eq!(status.migrations[4].duration, None);
    assert_eq!(status.version, 4);
    let text = status.to_string();
    assert!(
        text.contains("0002    step  test     applied       2026-01-02T03:04:05Z  17 ms\n"),
        "{text}"
    );
    assert!(
        text.contains("0001    step  test     out of order\n"),
        "{text}"
    );
    assert!(
        matches!(
            error.cause(),
            Error::Plan(PlanError::Failed { number: 5, .. })
        ),
        "{error}"
    );
    assert_eq!(error.exit_code(), 6);
}

#[tokio::test]
async fn wait_ends_when_the_database_reaches_the_version() {
    let dir = TestDir::new();
    let migrator = dir.migrator();

    let (waited, ()) = tokio::join!(migrator.wait(None, LOCK_TIMEOUT), async {
        migrator.create().await.unwrap();
        migrator.run(Run::upgrade_to(1)).await.unwrap();
        migrator.run(Run::upgrade()).await.unwrap();
    });
    let later = migrator.wait(Some(1), Duration::ZERO).await;

    assert_eq!(waited.unwrap().version, 2);
    assert_eq!(later.unwrap().version, 2);
}

#[tokio::test]
async fn a_timed_out_wait_reports_the_version() {
    let dir = TestDir::new();
    let migrator = dir.migrator();

    let missing = migrator.wait(None, SOON).await.unwrap_err();
    migrator.run(Run::upgrade_to(1)).await.unwrap();
    let behind = migrator.wait(None, SOON).await.unwrap_err();

    assert_eq!((missing.exit_code(), missing.reason()), (75, "BEHIND"));
    let database = dir.path();
    let database = database.display();
    assert_eq!(
        missing.to_string(),
        format!(
            "{database} does not exist after 50ms, instead of being at version 2; \
             `migrator upgrade` upgrades it"
        )
    );
    assert_eq!(
        behind.to_string(),
        format!(
            "{database} is at version 1 after 50ms, instead of being at version 2; \
             `migrator upgrade` upgrades it"
        )
    );
}

#[tokio::test]
async fn wait_fails_immediately_for_a_foreign_database() {
    let dir = TestDir::new();
    dir.execute("pragma application_id = 7").await;
    let patience = Duration::from_hours(1);

    let error = dir.migrator().wait(None, patience).await.unwrap_err();

    assert!(
        matches!(
            error.cause(),
            Error::Database(DatabaseError::Foreign { .. })
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_dump_recreates_the_database() {
    let dir = TestDir::new();
    let migrator = dir.migrator();
    migrator.run(Run::upgrade()).await.unwrap();

    let dump = migrator.dump().await.unwrap();
    let copy = TestDir::new();
    copy.execute(&dump.ddl).await;
    let report = copy.migrator().baseline(2).await.unwrap();

    assert_eq!(report.version, 2);
    assert!(!dump.ddl.contains("_sqlx_migrations"), "{dump}");
}
