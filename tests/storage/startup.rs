//! The wait for the database at startup: the states that a service waits for, and those that it
//! rejects immediately.

use std::{fs, time::Duration};

use chassis::{
    database::{Lifecycle, Requirements},
    process::ExitError,
};
use migrator::Run;
use tokio::join;
use user_service::store::sqlite::REQUIREMENTS;

use super::{TestDir, within_timeout};

/// A wait that is long enough for several checks.
const SHORT: Duration = Duration::from_millis(250);

/// A wait that would exceed the timeout of the test.
const LONG: Duration = Duration::from_hours(1);

/// Creates a directory whose services wait for this time.
fn dir_with_timeout(wait: Duration) -> TestDir {
    let mut dir = TestDir::new();
    dir.settings.database_startup_timeout = wait;
    dir
}

/// Returns the error with which a service does not start.
async fn startup_error(dir: &TestDir, requirements: &'static Requirements) -> ExitError {
    within_timeout(dir.database(requirements).ready())
        .await
        .unwrap_err()
}

#[track_caller]
fn assert_temp_fail(error: &ExitError) {
    assert!(matches!(error, ExitError::TempFail(_)), "{error:?}");
    assert!(error.to_string().contains("migrator upgrade"), "{error}");
}

#[track_caller]
fn assert_config(error: &ExitError) {
    assert!(matches!(error, ExitError::Config(_)), "{error:?}");
}

#[tokio::test]
async fn a_service_waits_for_a_missing_database_and_does_not_create_it() {
    let dir = dir_with_timeout(SHORT);
    let started = tokio::time::Instant::now();

    let error = startup_error(&dir, &REQUIREMENTS).await;

    assert_temp_fail(&error);
    assert!(started.elapsed() >= SHORT);
    assert!(!dir.path().exists());
}

#[tokio::test]
async fn a_service_waits_for_a_database_without_migrations() {
    let dir = dir_with_timeout(SHORT);
    dir.migrator().create().await.unwrap();

    let error = startup_error(&dir, &REQUIREMENTS).await;

    assert_temp_fail(&error);
}

#[tokio::test]
async fn a_service_waits_for_an_outdated_database() {
    let dir = dir_with_timeout(SHORT);
    dir.migrator().run(Run::upgrade_to(1)).await.unwrap();

    for requirements in [&REQUIREMENTS, &post_service::store::sqlite::REQUIREMENTS] {
        let error = startup_error(&dir, requirements).await;

        assert_temp_fail(&error);
    }
}

#[tokio::test]
async fn a_service_waits_for_an_empty_file_and_leaves_it_empty() {
    let dir = dir_with_timeout(SHORT);
    fs::write(dir.path(), "").unwrap();

    let error = startup_error(&dir, &REQUIREMENTS).await;

    assert_temp_fail(&error);
    assert_eq!(fs::read(dir.path()).unwrap(), b"");
}

#[tokio::test]
async fn a_service_starts_when_the_database_is_migrated() {
    let dir = dir_with_timeout(LONG);
    let (users, posts) = (
        dir.database(&REQUIREMENTS),
        dir.database(&post_service::store::sqlite::REQUIREMENTS),
    );

    let (users, posts, ()) = join!(
        within_timeout(users.ready()),
        within_timeout(posts.ready()),
        async {
            // In steps, as a service sees them that starts beside a slow migrator.
            dir.migrator().create().await.unwrap();
            dir.migrator().run(Run::upgrade_to(1)).await.unwrap();
            dir.migrator().run(Run::upgrade()).await.unwrap();
        }
    );

    assert!(users.is_ok() && posts.is_ok(), "{users:?} {posts:?}");
}

#[tokio::test]
async fn the_database_of_another_program_is_rejected_and_unchanged() {
    for script in [
        // Tables, and no application id.
        "create table users (id integer primary key)",
        // An application id, and no tables.
        "pragma application_id = 7",
        "pragma journal_mode = wal; create table t (x); pragma application_id = 7",
    ] {
        let dir = dir_with_timeout(LONG);
        dir.execute(script).await;
        let before = fs::read(dir.path()).unwrap();

        let error = startup_error(&dir, &REQUIREMENTS).await;

        assert_config(&error);
        assert_eq!(fs::read(dir.path()).unwrap(), before, "{script}");
    }
}

#[tokio::test]
async fn a_file_in_another_format_is_rejected_and_unchanged() {
    let dir = dir_with_timeout(LONG);
    let garbage = "no database\n".repeat(1000);
    fs::write(dir.path(), &garbage).unwrap();

    let error = startup_error(&dir, &REQUIREMENTS).await;

    assert_config(&error);
    assert_eq!(fs::read_to_string(dir.path()).unwrap(), garbage);
}

#[tokio::test]
async fn a_directory_is_rejected() {
    let dir = dir_with_timeout(LONG);
    fs::create_dir(dir.path()).unwrap();

    let error = startup_error(&dir, &REQUIREMENTS).await;

    assert!(matches!(error, ExitError::Config(_)), "{error:?}");
}

/// A script that records a migration of a later version.
const LATER: &str = "
    insert into _sqlx_migrations
        (version, description, success, checksum, execution_time)
    values (9999, 'later', true, x'00', 0);";

#[tokio::test]
async fn a_newer_schema_is_accepted_if_every_statement_prepares() {
    let mut dir = TestDir::migrated().await;
    dir.settings.database_startup_timeout = LONG;
    dir.execute(&format!("{LATER} alter table users add column age integer"))
        .await;

    for requirements in [&REQUIREMENTS, &post_service::store::sqlite::REQUIREMENTS] {
        let ready = within_timeout(dir.database(requirements).ready()).await;

        assert!(ready.is_ok(), "{ready:?}");
    }
}

#[tokio::test]
async fn a_newer_schema_without_a_needed_column_is_rejected() {
    for (requirements, change) in [
        (
            &REQUIREMENTS,
            "alter table users rename column email to address",
        ),
        (&REQUIREMENTS, "alter table users drop column email"),
        (&REQUIREMENTS, "drop table user_requests"),
        (
            &post_service::store::sqlite::REQUIREMENTS,
            "alter table posts rename column body to text",
        ),
        (
            &post_service::store::sqlite::REQUIREMENTS,
            "drop table post_requests",
        ),
    ] {
        let mut dir = TestDir::migrated().await;
        dir.settings.database_startup_timeout = LONG;
        dir.execute(&format!("{LATER} {change}")).await;

        let error = startup_error(&dir, requirements).await;

        assert_config(&error);
    }
}
