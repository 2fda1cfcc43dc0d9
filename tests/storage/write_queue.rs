//! The queue of writes. The tests run on one thread, so all writes that are queued before the writer
//! task runs share a transaction.

use std::{
    num::NonZeroUsize,
    pin::pin,
    time::{Duration, Instant},
};

use chassis::database::{Atomicity, Error, Lifecycle, WriteError, sqlite::Database};
use futures::{future::join_all, join};
use migrator::Run;
use sqlx::{Connection, SqliteConnection, error::DatabaseError};
use tokio::task::yield_now;
use user_service::store::sqlite::REQUIREMENTS;

use super::{TestDir, assert_stays_pending, within_timeout};

/// The outcome of a write after its INSERT.
#[derive(Clone, Copy)]
enum Then {
    Done,
    Rejected,
    Panic,
}

/// The error of a write.
#[derive(Debug)]
enum Failure {
    Rejected,
    Database(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

async fn insert_into(connection: &mut SqliteConnection, name: &str) -> Result<i64, sqlx::Error> {
    let inserted = sqlx::query_scalar(
        "insert into users
            (nickname, nickname_key, email, email_key, role, create_time, update_time, revision)
        values (?1, ?1, ?1 || '@example.com', ?1, 0, 0, 0, 1)
        returning id",
    );
    inserted.bind(name).fetch_one(connection).await
}

/// Inserts users, each in its own statement, and returns the id of the last one.
async fn write(
    database: &Database,
    atomicity: Atomicity,
    names: &'static [&'static str],
    then: Then,
) -> Result<i64, Failure> {
    let work = database.write(atomicity, move |connection| {
        Box::pin(async move {
            let mut id = 0;
            for name in names {
                id = insert_into(connection, name).await?;
            }
            match then {
                Then::Done => Ok(id),
                Then::Rejected => Err(WriteError::Rejected(Failure::Rejected)),
                Then::Panic => panic!("a deliberate panic"),
            }
        })
    });
    within_timeout(work).await
}

async fn insert(database: &Database, name: &'static [&'static str]) -> Result<i64, Failure> {
    write(database, Atomicity::SingleStatement, name, Then::Done).await
}

/// Returns whether a unique constraint was violated.
fn is_constraint(failure: &Failure) -> bool {
    matches!(failure, Failure::Database(Error::Engine(error))
        if error.as_database_error().is_some_and(DatabaseError::is_unique_violation))
}

#[tokio::test]
async fn writes_of_the_same_runtime_tick_share_a_transaction() {
    let dir = TestDir::migrated().await;
    let database = dir.ready(&REQUIREMENTS).await;
    insert(&database, &["a"]).await.unwrap();

    // The panic fails all writes of its transaction.
    let later = async {
        yield_now().await;
        write(&database, Atomicity::SingleStatement, &["c"], Then::Panic).await
    };
    let (first, later) = join!(insert(&database, &["b"]), later);

    assert!(first.is_err() && later.is_err(), "{first:?}, {later:?}");
    assert_eq!(dir.nicknames().await, ["a"]);
}

#[tokio::test]
async fn an_acknowledged_write_is_visible_to_every_connection() {
    let dir = TestDir::migrated().await;
    let database = dir.ready(&REQUIREMENTS).await;

    let id = insert(&database, &["susan"]).await.unwrap();

    let mut reader = database.reader().await.unwrap();
    let read: String = sqlx::query_scalar("select nickname from users where id = ?1")
        .bind(id)
        .fetch_one(&mut *reader)
        .await
        .unwrap();
    assert_eq!(read, "susan");
    assert_eq!(dir.nicknames().await, ["susan"]);
}

#[tokio::test]
async fn a_rejected_or_failed_write_rolls_back_only_itself() {
    let dir = TestDir::migrated().await;
    let database = dir.ready(&REQUIREMENTS).await;

    let (first, rejected, taken, half, last) = join!(
        insert(&database, &["first"]),
        write(
            &database,
            Atomicity::Savepoint,
            &["rejected"],
            Then::Rejected
        ),
        insert(&database, &["first"]),
        write(
            &database,
            Atomicity::Savepoint,
            &["half", "first"],
            Then::Done
        ),
        write(
            &database,
            Atomicity::Savepoint,
            &["last", "of all"],
            Then::Done
        ),
    );

    assert!(first.is_ok() && last.is_ok(), "{first:?} {last:?}");
    assert!(matches!(rejected, Err(Failure::Rejected)));
    assert!(is_constraint(&taken.unwrap_err()));
    assert!(is_constraint(&half.unwrap_err()));
    assert_eq!(dir.nicknames().await, ["first", "last", "of all"]);
}

#[tokio::test]
async fn validate_only_returns_the_result_and_rolls_back() {
    let dir = TestDir::migrated().await;
    let database = dir.ready(&REQUIREMENTS).await;

    let (first, validated, taken, last) = join!(
        insert(&database, &["first"]),
        write(
            &database,
            Atomicity::ValidateOnly,
            &["one", "two"],
            Then::Done
        ),
        write(
            &database,
            Atomicity::ValidateOnly,
            &["one", "first"],
            Then::Done
        ),
        insert(&database, &["one"]),
    );

    assert!(first.is_ok() && last.is_ok(), "{first:?} {last:?}");
    assert!(validated.unwrap() > 0);
    assert!(is_constraint(&taken.unwrap_err()));
    assert_eq!(dir.nicknames().await, ["first", "one"]);
}

#[tokio::test]
async fn a_panic_in_a_savepoint_rolls_back_only_itself() {
    let dir = TestDir::migrated().await;
    let database = dir.ready(&REQUIREMENTS).await;

    let (first, panicked, last) = join!(
        insert(&database, &["first"]),
        write(&database, Atomicity::Savepoint, &["panicked"], Then::Panic),
        insert(&database, &["last"]),
    );

    assert!(first.is_ok() && last.is_ok(), "{first:?} {last:?}");
    assert!(matches!(panicked, Err(Failure::Database(Error::Engine(_)))));
    assert_eq!(dir.nicknames().await, ["first", "last"]);
}

#[tokio::test]
async fn a_panic_without_a_savepoint_fails_only_its_transaction() {
    let dir = TestDir::migrated().await;
    let database = dir.ready(&REQUIREMENTS).await;

    let (first, panicked, last) = join!(
        insert(&database, &["first"]),
        write(
            &database,
            Atomicity::SingleStatement,
            &["panicked"],
            Then::Panic
        ),
        insert(&database, &["last"]),
    );
    let stored = dir.nicknames().await;
    let afterwards = insert(&database, &["afterwards"]).await;

    for failed in [first, panicked, last] {
        let engine = matches!(failed, Err(Failure::Database(Error::Engine(_))));
        assert!(engine, "{failed:?}");
    }
    assert_eq!(stored, [""; 0]);
    assert!(afterwards.is_ok(), "{afterwards:?}");
    assert_eq!(dir.nicknames().await, ["afterwards"]);
}

#[tokio::test]
async fn a_full_queue_rejects_writes_immediately() {
    let mut dir = TestDir::migrated().await;
    dir.settings.write_queue_capacity = NonZeroUsize::new(2).unwrap();
    let database = dir.ready(&REQUIREMENTS).await;
    let names: [&[&str]; 5] = [&["a"], &["b"], &["c"], &["d"], &["e"]];

    let results = join_all(names.map(|name| insert(&database, name))).await;

    let (accepted, rejected) = results.split_at(2);
    assert!(accepted.iter().all(Result::is_ok), "{accepted:?}");
    for rejected in rejected {
        let overloaded = matches!(rejected, Err(Failure::Database(Error::Overloaded)));
        assert!(overloaded, "{rejected:?}");
    }
    assert_eq!(dir.nicknames().await, ["a", "b"]);
}

#[tokio::test]
async fn a_write_waits_for_another_process_until_lock_timeout() {
    let mut dir = TestDir::migrated().await;
    dir.settings.lock_timeout = Duration::from_millis(100);
    let database = dir.ready(&REQUIREMENTS).await;
    let lock = dir.lock().await;

    let (one, other) = join!(insert(&database, &["a"]), insert(&database, &["b"]));
    lock.close().await.unwrap();
    let afterwards = insert(&database, &["c"]).await;

    for busy in [one, other] {
        assert!(
            matches!(busy, Err(Failure::Database(Error::Busy))),
            "{busy:?}"
        );
    }
    assert!(afterwards.is_ok(), "{afterwards:?}");
    assert_eq!(dir.nicknames().await, ["c"]);
}

#[tokio::test]
async fn a_write_is_executed_when_another_process_releases_the_lock() {
    let mut dir = TestDir::migrated().await;
    dir.settings.lock_timeout = Duration::from_hours(1);
    let database = dir.ready(&REQUIREMENTS).await;
    let lock = dir.lock().await;
    let mut write = pin!(insert(&database, &["susan"]));

    assert_stays_pending(write.as_mut()).await;
    lock.close().await.unwrap();

    assert!(write.await.is_ok());
    assert_eq!(dir.nicknames().await, ["susan"]);
}

#[tokio::test]
async fn a_write_cancelled_while_it_waits_is_not_executed() {
    let mut dir = TestDir::migrated().await;
    dir.settings.lock_timeout = Duration::from_hours(1);
    let database = dir.ready(&REQUIREMENTS).await;
    let lock = dir.lock().await;

    assert_stays_pending(pin!(insert(&database, &["cancelled"]))).await;
    lock.close().await.unwrap();
    insert(&database, &["susan"]).await.unwrap();

    assert_eq!(dir.nicknames().await, ["susan"]);
}

#[tokio::test]
async fn writes_queued_before_startup_are_executed_after_it() {
    let dir = TestDir::new();
    let database = dir.database(&REQUIREMENTS);

    let (written, ready, _) = join!(
        insert(&database, &["susan"]),
        within_timeout(database.ready()),
        async { dir.migrator().run(Run::upgrade()).await.unwrap() }
    );

    ready.unwrap();
    assert!(written.is_ok(), "{written:?}");
    assert_eq!(dir.nicknames().await, ["susan"]);
}

#[tokio::test]
async fn closing_executes_queued_writes_and_rejects_later_ones() {
    let mut dir = TestDir::migrated().await;
    dir.settings.max_write_batch = NonZeroUsize::MIN;
    let database = dir.ready(&REQUIREMENTS).await;

    let (a, b, c, ()) = join!(
        insert(&database, &["a"]),
        insert(&database, &["b"]),
        insert(&database, &["c"]),
        within_timeout(database.close()),
    );
    let late = insert(&database, &["late"]).await;
    let reader = database.reader().await;

    for queued in [a, b, c] {
        assert!(queued.is_ok(), "{queued:?}");
    }
    assert!(
        matches!(late, Err(Failure::Database(Error::ShuttingDown))),
        "{late:?}"
    );
    assert!(matches!(reader, Err(Error::ShuttingDown)));
    assert_eq!(dir.nicknames().await, ["a", "b", "c"]);
}

#[tokio::test]
async fn closing_an_unstarted_queue_fails_its_writes() {
    let dir = TestDir::new();
    let database = dir.database(&REQUIREMENTS);

    let (queued, ()) = join!(insert(&database, &["a"]), within_timeout(database.close()));

    assert!(
        matches!(queued, Err(Failure::Database(Error::ShuttingDown))),
        "{queued:?}"
    );
}

#[tokio::test]
async fn a_read_waits_for_a_connection_until_read_pool_timeout() {
    let mut dir = TestDir::migrated().await;
    dir.settings.max_read_connections = NonZeroUsize::MIN;
    dir.settings.read_pool_timeout = Duration::from_millis(50);
    let database = dir.ready(&REQUIREMENTS).await;
    let held = database.reader().await.unwrap();

    let rejected = within_timeout(database.reader()).await;
    drop(held);
    let afterwards = within_timeout(database.reader()).await;

    assert!(matches!(rejected, Err(Error::Overloaded)));
    assert!(afterwards.is_ok());
}

#[tokio::test]
async fn closing_removes_the_write_ahead_log() {
    let dir = TestDir::migrated().await;
    let database = dir.ready(&REQUIREMENTS).await;
    insert(&database, &["a"]).await.unwrap();
    let mut reader = database.reader().await.unwrap();
    let read: Vec<i64> = sqlx::query_scalar("select id from users")
        .fetch_all(&mut *reader)
        .await
        .unwrap();
    assert_eq!(read, [1]);
    drop(reader);

    within_timeout(database.close()).await;

    let wal = dir.path().with_extension("db-wal");
    assert!(!wal.exists(), "{} is left", wal.display());
}

#[tokio::test]
async fn queued_writes_wait_for_lock_timeout_concurrently() {
    let mut dir = TestDir::migrated().await;
    dir.settings.lock_timeout = Duration::from_millis(300);
    dir.settings.max_write_batch = NonZeroUsize::MIN;
    let database = dir.ready(&REQUIREMENTS).await;
    let lock = dir.lock().await;
    let names: [&[&str]; 8] = [
        &["a"],
        &["b"],
        &["c"],
        &["d"],
        &["e"],
        &["f"],
        &["g"],
        &["h"],
    ];

    let started = Instant::now();
    let results = join_all(names.map(|name| insert(&database, name))).await;
    let took = started.elapsed();
    lock.close().await.unwrap();

    for busy in results {
        assert!(
            matches!(busy, Err(Failure::Database(Error::Busy))),
            "{busy:?}"
        );
    }
    // Consecutive waits would take 2.4 s.
    assert!(took < Duration::from_millis(1500), "{took:?}");
}
