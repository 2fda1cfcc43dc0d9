//! The wait for the database: what is waited for, and what is refused at once.

use std::{fs, time::Duration};

use chassis::{
    database::{Lifecycle, Requirements},
    process::ExitError,
};
use migrator::Run;
use tokio::join;
use user_service::store::sqlite::REQUIREMENTS;

use super::{Place, soon};

/// Long enough for several looks.
const SHORT: Duration = Duration::from_millis(250);

/// So long that what waits for it is no test that ends.
const LONG: Duration = Duration::from_secs(3600);

/// A place whose services wait that long.
fn place(wait: Duration) -> Place {
    let mut place = Place::new();
    place.settings.database_startup_timeout = wait;
    place
}

/// Why a service does not start, which it finds out soon.
async fn failure(place: &Place, requirements: &'static Requirements) -> ExitError {
    soon(place.database(requirements).ready())
        .await
        .unwrap_err()
}

#[track_caller]
fn assert_try_again(failure: &ExitError) {
    assert!(matches!(failure, ExitError::TempFail(_)), "{failure:?}");
    assert!(
        failure.to_string().contains("migrator upgrade"),
        "{failure}"
    );
}

#[track_caller]
fn assert_setting(failure: &ExitError) {
    assert!(matches!(failure, ExitError::Config(_)), "{failure:?}");
}

#[tokio::test]
async fn a_missing_database_is_waited_for_and_not_created() {
    let place = place(SHORT);
    let begun = tokio::time::Instant::now();

    let failure = failure(&place, &REQUIREMENTS).await;

    assert_try_again(&failure);
    assert!(begun.elapsed() >= SHORT);
    assert!(!place.path().exists());
}

#[tokio::test]
async fn a_database_that_is_not_migrated_is_waited_for() {
    let place = place(SHORT);
    place.migrator().create().await.unwrap();

    let failure = failure(&place, &REQUIREMENTS).await;

    assert_try_again(&failure);
}

#[tokio::test]
async fn a_database_that_is_behind_is_waited_for() {
    let place = place(SHORT);
    place.migrator().run(Run::upgrade_to(1)).await.unwrap();

    for requirements in [&REQUIREMENTS, &post_service::store::sqlite::REQUIREMENTS] {
        let failure = failure(&place, requirements).await;

        assert_try_again(&failure);
    }
}

#[tokio::test]
async fn an_empty_file_is_waited_for_and_left_empty() {
    let place = place(SHORT);
    fs::write(place.path(), "").unwrap();

    let failure = failure(&place, &REQUIREMENTS).await;

    assert_try_again(&failure);
    assert_eq!(fs::read(place.path()).unwrap(), b"");
}

#[tokio::test]
async fn a_service_goes_on_as_soon_as_the_migrator_came_by() {
    let place = place(LONG);
    let (users, posts) = (
        place.database(&REQUIREMENTS),
        place.database(&post_service::store::sqlite::REQUIREMENTS),
    );

    let (users, posts, ()) = join!(soon(users.ready()), soon(posts.ready()), async {
        // One step at a time, as a start beside a slow migrator sees it.
        place.migrator().create().await.unwrap();
        place.migrator().run(Run::upgrade_to(1)).await.unwrap();
        place.migrator().run(Run::upgrade()).await.unwrap();
    });

    assert!(users.is_ok() && posts.is_ok(), "{users:?} {posts:?}");
}

#[tokio::test]
async fn the_database_of_another_program_is_refused_at_once_and_left_alone() {
    for script in [
        // Without an application id, but with tables.
        "create table users (id integer primary key)",
        // Without tables, but with an application id.
        "pragma application_id = 7",
        "pragma journal_mode = wal; create table t (x); pragma application_id = 7",
    ] {
        let place = place(LONG);
        place.execute(script).await;
        let before = fs::read(place.path()).unwrap();

        let failure = failure(&place, &REQUIREMENTS).await;

        assert_setting(&failure);
        assert_eq!(fs::read(place.path()).unwrap(), before, "{script}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_at_once_and_left_alone() {
    let place = place(LONG);
    let garbage = "no database\n".repeat(1000);
    fs::write(place.path(), &garbage).unwrap();

    let failure = failure(&place, &REQUIREMENTS).await;

    assert_setting(&failure);
    assert_eq!(fs::read_to_string(place.path()).unwrap(), garbage);
}

#[tokio::test]
async fn what_is_no_file_is_refused_at_once() {
    let place = place(LONG);
    fs::create_dir(place.path()).unwrap();

    let failure = failure(&place, &REQUIREMENTS).await;

    assert!(matches!(failure, ExitError::Config(_)), "{failure:?}");
}

/// As a migration of a later version would leave it.
const LATER: &str = "
    insert into _sqlx_migrations
        (version, description, success, checksum, execution_time)
    values (9999, 'later', true, x'00', 0);";

#[tokio::test]
async fn a_newer_database_is_worked_with_as_long_as_every_statement_can_be() {
    let mut place = Place::migrated().await;
    place.settings.database_startup_timeout = LONG;
    place
        .execute(&format!("{LATER} alter table users add column age integer"))
        .await;

    for requirements in [&REQUIREMENTS, &post_service::store::sqlite::REQUIREMENTS] {
        let ready = soon(place.database(requirements).ready()).await;

        assert!(ready.is_ok(), "{ready:?}");
    }
}

#[tokio::test]
async fn a_newer_database_without_a_column_that_is_needed_is_refused_at_once() {
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
        let mut place = Place::migrated().await;
        place.settings.database_startup_timeout = LONG;
        place.execute(&format!("{LATER} {change}")).await;

        let failure = failure(&place, requirements).await;

        assert_setting(&failure);
    }
}
