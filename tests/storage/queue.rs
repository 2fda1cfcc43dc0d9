//! The queue of writes. What is queued before its task runs is one batch: a test of one
//! thread decides what is committed together.

use std::{
    num::NonZeroUsize,
    pin::pin,
    time::{Duration, Instant},
};

use chassis::database::{Atomicity, Error, Lifecycle, WriteError, sqlite::Database};
use futures::{future::join_all, join, poll};
use migrator::Run;
use sqlx::{Connection, SqliteConnection, error::DatabaseError};
use tokio::task::yield_now;
use user_service::store::sqlite::REQUIREMENTS;

use super::{Place, soon};

/// What becomes of a piece of writing once it has inserted.
#[derive(Clone, Copy)]
enum Then {
    Done,
    Refused,
    Panic,
}

/// Why a piece of writing failed.
#[derive(Debug)]
enum Failure {
    Refused,
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

/// Inserts users, one by a statement, and gives the id of the last.
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
                Then::Refused => Err(WriteError::Rejected(Failure::Refused)),
                Then::Panic => panic!("a deliberate panic"),
            }
        })
    });
    soon(work).await
}

async fn insert(database: &Database, name: &'static [&'static str]) -> Result<i64, Failure> {
    write(database, Atomicity::SingleStatement, name, Then::Done).await
}

/// Whether it was refused by a constraint.
fn is_constraint(failure: &Failure) -> bool {
    matches!(failure, Failure::Database(Error::Engine(error))
        if error.as_database_error().is_some_and(DatabaseError::is_unique_violation))
}

#[tokio::test]
async fn what_comes_in_the_same_turn_of_the_loop_is_committed_together() {
    let place = Place::migrated().await;
    let database = place.ready(&REQUIREMENTS).await;
    insert(&database, &["a"]).await.unwrap();

    // It fails with all that is committed with it.
    let later = async {
        yield_now().await;
        write(&database, Atomicity::SingleStatement, &["c"], Then::Panic).await
    };
    let (first, later) = join!(insert(&database, &["b"]), later);

    assert!(first.is_err() && later.is_err(), "{first:?}, {later:?}");
    assert_eq!(place.nicknames().await, ["a"]);
}

#[tokio::test]
async fn what_is_acknowledged_is_there_for_every_connection() {
    let place = Place::migrated().await;
    let database = place.ready(&REQUIREMENTS).await;

    let id = insert(&database, &["susan"]).await.unwrap();

    let mut reader = database.reader().await.unwrap();
    let read: String = sqlx::query_scalar("select nickname from users where id = ?1")
        .bind(id)
        .fetch_one(&mut *reader)
        .await
        .unwrap();
    assert_eq!(read, "susan");
    assert_eq!(place.nicknames().await, ["susan"]);
}

#[tokio::test]
async fn a_piece_that_is_refused_or_fails_undoes_itself_and_nothing_else() {
    let place = Place::migrated().await;
    let database = place.ready(&REQUIREMENTS).await;

    let (first, refused, taken, half, last) = join!(
        insert(&database, &["first"]),
        write(&database, Atomicity::Savepoint, &["refused"], Then::Refused),
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
    assert!(matches!(refused, Err(Failure::Refused)));
    assert!(is_constraint(&taken.unwrap_err()));
    assert!(is_constraint(&half.unwrap_err()));
    assert_eq!(place.nicknames().await, ["first", "last", "of all"]);
}

#[tokio::test]
async fn a_trial_says_what_would_be_and_leaves_nothing() {
    let place = Place::migrated().await;
    let database = place.ready(&REQUIREMENTS).await;

    let (first, tried, taken, last) = join!(
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
    assert!(tried.unwrap() > 0);
    assert!(is_constraint(&taken.unwrap_err()));
    assert_eq!(place.nicknames().await, ["first", "one"]);
}

#[tokio::test]
async fn a_panic_in_a_savepoint_undoes_itself_and_nothing_else() {
    let place = Place::migrated().await;
    let database = place.ready(&REQUIREMENTS).await;

    let (first, panicked, last) = join!(
        insert(&database, &["first"]),
        write(&database, Atomicity::Savepoint, &["panicked"], Then::Panic),
        insert(&database, &["last"]),
    );

    assert!(first.is_ok() && last.is_ok(), "{first:?} {last:?}");
    assert!(matches!(panicked, Err(Failure::Database(Error::Engine(_)))));
    assert_eq!(place.nicknames().await, ["first", "last"]);
}

#[tokio::test]
async fn a_panic_without_a_savepoint_fails_its_batch_and_the_queue_goes_on() {
    let place = Place::migrated().await;
    let database = place.ready(&REQUIREMENTS).await;

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
    let stored = place.nicknames().await;
    let afterwards = insert(&database, &["afterwards"]).await;

    for failed in [first, panicked, last] {
        let engine = matches!(failed, Err(Failure::Database(Error::Engine(_))));
        assert!(engine, "{failed:?}");
    }
    assert_eq!(stored, [""; 0]);
    assert!(afterwards.is_ok(), "{afterwards:?}");
    assert_eq!(place.nicknames().await, ["afterwards"]);
}

#[tokio::test]
async fn what_the_queue_has_no_room_for_is_refused_at_once() {
    let mut place = Place::migrated().await;
    place.settings.write_queue_capacity = NonZeroUsize::new(2).unwrap();
    let database = place.ready(&REQUIREMENTS).await;
    let names: [&[&str]; 5] = [&["a"], &["b"], &["c"], &["d"], &["e"]];

    let results = join_all(names.map(|name| insert(&database, name))).await;

    let (accepted, refused) = results.split_at(2);
    assert!(accepted.iter().all(Result::is_ok), "{accepted:?}");
    for refused in refused {
        let overloaded = matches!(refused, Err(Failure::Database(Error::Overloaded)));
        assert!(overloaded, "{refused:?}");
    }
    assert_eq!(place.nicknames().await, ["a", "b"]);
}

#[tokio::test]
async fn a_write_waits_for_another_process_up_to_its_limit() {
    let mut place = Place::migrated().await;
    place.settings.lock_timeout = Duration::from_millis(100);
    let database = place.ready(&REQUIREMENTS).await;
    let lock = place.lock().await;

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
    assert_eq!(place.nicknames().await, ["c"]);
}

#[tokio::test]
async fn a_write_is_done_as_soon_as_another_process_lets_it() {
    let mut place = Place::migrated().await;
    place.settings.lock_timeout = Duration::from_secs(3600);
    let database = place.ready(&REQUIREMENTS).await;
    let lock = place.lock().await;
    let mut write = pin!(insert(&database, &["susan"]));

    for _ in 0..100 {
        assert!(poll!(&mut write).is_pending());
        yield_now().await;
    }
    lock.close().await.unwrap();

    assert!(write.await.is_ok());
    assert_eq!(place.nicknames().await, ["susan"]);
}

#[tokio::test]
async fn nothing_is_written_for_a_caller_who_went_away_while_another_process_wrote() {
    let mut place = Place::migrated().await;
    place.settings.lock_timeout = Duration::from_secs(3600);
    let database = place.ready(&REQUIREMENTS).await;
    let lock = place.lock().await;

    {
        let mut gone = pin!(insert(&database, &["gone"]));
        // Long enough for the writer to try in vain.
        for _ in 0..100 {
            assert!(poll!(&mut gone).is_pending());
            yield_now().await;
        }
    }
    lock.close().await.unwrap();
    insert(&database, &["susan"]).await.unwrap();

    assert_eq!(place.nicknames().await, ["susan"]);
}

#[tokio::test]
async fn what_is_queued_before_the_database_is_there_is_written_when_it_is() {
    let place = Place::new();
    let database = place.database(&REQUIREMENTS);

    let (written, ready, _) = join!(
        insert(&database, &["susan"]),
        soon(database.ready()),
        async { place.migrator().run(Run::upgrade()).await.unwrap() }
    );

    ready.unwrap();
    assert!(written.is_ok(), "{written:?}");
    assert_eq!(place.nicknames().await, ["susan"]);
}

#[tokio::test]
async fn closing_finishes_what_is_queued_and_takes_no_more() {
    let mut place = Place::migrated().await;
    place.settings.max_write_batch = NonZeroUsize::MIN;
    let database = place.ready(&REQUIREMENTS).await;

    let (a, b, c, ()) = join!(
        insert(&database, &["a"]),
        insert(&database, &["b"]),
        insert(&database, &["c"]),
        soon(database.close()),
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
    assert_eq!(place.nicknames().await, ["a", "b", "c"]);
}

#[tokio::test]
async fn closing_what_never_was_ready_answers_everybody() {
    let place = Place::new();
    let database = place.database(&REQUIREMENTS);

    let (queued, ()) = join!(insert(&database, &["a"]), soon(database.close()));

    assert!(
        matches!(queued, Err(Failure::Database(Error::ShuttingDown))),
        "{queued:?}"
    );
}

#[tokio::test]
async fn a_read_waits_for_a_connection_up_to_its_limit() {
    let mut place = Place::migrated().await;
    place.settings.max_read_connections = NonZeroUsize::MIN;
    place.settings.read_pool_timeout = Duration::from_millis(50);
    let database = place.ready(&REQUIREMENTS).await;
    let held = database.reader().await.unwrap();

    let refused = soon(database.reader()).await;
    drop(held);
    let afterwards = soon(database.reader()).await;

    assert!(matches!(refused, Err(Error::Overloaded)));
    assert!(afterwards.is_ok());
}

#[tokio::test]
async fn closing_leaves_all_in_the_one_file() {
    let place = Place::migrated().await;
    let database = place.ready(&REQUIREMENTS).await;
    insert(&database, &["a"]).await.unwrap();
    let mut reader = database.reader().await.unwrap();
    let read: Vec<i64> = sqlx::query_scalar("select id from users")
        .fetch_all(&mut *reader)
        .await
        .unwrap();
    assert_eq!(read, [1]);
    drop(reader);

    soon(database.close()).await;

    let log = place.path().with_extension("db-wal");
    assert!(!log.exists(), "{} is left", log.display());
}

#[tokio::test]
async fn a_write_waits_no_longer_since_others_waited_before_it() {
    let mut place = Place::migrated().await;
    place.settings.lock_timeout = Duration::from_millis(300);
    place.settings.max_write_batch = NonZeroUsize::MIN;
    let database = place.ready(&REQUIREMENTS).await;
    let lock = place.lock().await;
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

    let begun = Instant::now();
    let results = join_all(names.map(|name| insert(&database, name))).await;
    let took = begun.elapsed();
    lock.close().await.unwrap();

    for busy in results {
        assert!(
            matches!(busy, Err(Failure::Database(Error::Busy))),
            "{busy:?}"
        );
    }
    // One after the other they would have waited for 2.4 s.
    assert!(took < Duration::from_millis(1500), "{took:?}");
}
