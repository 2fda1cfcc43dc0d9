//! Batches of writes: what is queued before the writer task runs is one transaction, and one call
//! of the function that executes it together.

use std::{
    num::NonZeroUsize,
    pin::pin,
    time::{Duration, Instant},
};

use chassis::{
    database::{
        Atomicity, Error, Lifecycle, WriteError,
        sqlite::{BatchOps, Batcher, Database, json_param, none_on_constraint_violation},
    },
    process::clock::Clock,
};
use chrono::{DateTime, Utc};
use futures::{future::BoxFuture, future::join_all, join, poll};
use sqlx::{Connection, SqliteConnection};
use tokio::task::yield_now;
use user_service::store::sqlite::REQUIREMENTS;

use super::{Place, soon};

/// Why a write failed.
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

type Names = Batcher<&'static str, usize, Failure>;

/// The result of a user who was inserted alone.
const ALONE: usize = 0;

/// Users who are left to be inserted alone: one is refused after the insertion, one panics.
const LEFT: [&str; 3] = ["left", "refused", "left to panic"];

/// Inserts all users but those who are left by one statement, or none if it violates a
/// constraint, as `check` does. The result of each is the size of the batch. `panic` panics, and
/// `engine` makes the engine fail.
fn insert_all<'c>(
    connection: &'c mut SqliteConnection,
    names: &'c [&'static str],
    now: DateTime<Utc>,
) -> BoxFuture<'c, Result<Vec<Option<usize>>, sqlx::Error>> {
    Box::pin(async move {
        assert!(!names.contains(&"panic"), "a deliberate panic");
        let is_together = |name: &&&str| !LEFT.contains(name);
        let together: Vec<_> = names.iter().filter(is_together).collect();
        let written = sqlx::query(
            "insert into users
                (nickname, nickname_key, email, email_key, role, create_time, update_time, revision)
            select value, value, value || '@example.com', value, 0, ?2, ?2,
                case value when 'check' then 0 when 'engine' then value ->> '$' else 1 end
            from json_each(?1)",
        )
        .bind(json_param(&together)?)
        .bind(now.timestamp_micros())
        .execute(connection)
        .await;
        let inserted = none_on_constraint_violation(written.map(Some))?.is_some();
        let results = names
            .iter()
            .map(|name| (inserted && is_together(&name)).then_some(names.len()));
        Ok(results.collect())
    })
}

/// Inserts a user alone. `check` violates a constraint.
fn insert_one<'c>(
    connection: &'c mut SqliteConnection,
    name: &'c &'static str,
    now: DateTime<Utc>,
) -> BoxFuture<'c, Result<usize, WriteError<Failure>>> {
    Box::pin(async move {
        sqlx::query(
            "insert into users
                (nickname, nickname_key, email, email_key, role, create_time, update_time,
                revision)
            values (?1, ?1, ?1 || '@example.com', ?1, 0, ?3, ?3, ?2)",
        )
        .bind(*name)
        .bind(i64::from(*name != "check"))
        .bind(now.timestamp_micros())
        .execute(connection)
        .await?;
        assert_ne!(*name, "left to panic", "a deliberate panic");
        if *name == "refused" {
            return Err(WriteError::Rejected(Failure::Refused));
        }
        Ok(ALONE)
    })
}

const OPS: BatchOps<&str, usize, Failure> = BatchOps {
    row_count: |_| 1,
    atomicity: |name| match *name {
        "refused" => Atomicity::Savepoint,
        _ => Atomicity::SingleStatement,
    },
    insert_all,
    insert_one,
};

fn names(database: &Database) -> Names {
    database.batcher(OPS, Clock::system())
}

async fn write(names: &Names, all: &[&'static str]) -> Vec<Result<usize, Failure>> {
    soon(join_all(all.iter().map(|&name| names.write(name)))).await
}

#[tokio::test]
async fn batched_writes_return_individual_results() {
    let place = Place::migrated().await;
    let names = names(&place.ready(&REQUIREMENTS).await);

    let results = write(&names, &["a", "refused", "b"]).await;
    let afterwards = write(&names, &["c"]).await;

    assert!(
        matches!(results.as_slice(), [Ok(3), Err(Failure::Refused), Ok(3)]),
        "{results:?}"
    );
    assert!(matches!(afterwards.as_slice(), [Ok(1)]), "{afterwards:?}");
    assert_eq!(place.nicknames().await, ["a", "b", "c"]);
}

#[tokio::test]
async fn writes_from_the_same_runtime_tick_share_a_commit() {
    let place = Place::migrated().await;
    let names = names(&place.ready(&REQUIREMENTS).await);
    write(&names, &["z"]).await;

    let later = async {
        yield_now().await;
        names.write("b").await
    };
    let (first, later) = soon(async { join!(names.write("a"), later) }).await;

    assert_eq!((first.unwrap(), later.unwrap()), (2, 2));
}

#[tokio::test]
async fn a_batch_never_exceeds_write_batch() {
    let mut place = Place::migrated().await;
    place.settings.max_write_batch = NonZeroUsize::new(2).unwrap();
    let names = names(&place.ready(&REQUIREMENTS).await);

    let results = write(&names, &["a", "b", "c", "d", "e"]).await;

    let together: Vec<_> = results.into_iter().map(Result::unwrap).collect();
    assert_eq!(together, [2, 2, 2, 2, 1]);
    assert_eq!(place.nicknames().await, ["a", "b", "c", "d", "e"]);
}

#[tokio::test]
async fn no_more_rows_come_together_than_6400_but_for_a_write_that_has_more() {
    for (rows, together) in [(3_200, [2, 2, 1]), (3_201, [1, 1, 1]), (6_401, [1, 1, 1])] {
        let place = Place::migrated().await;
        let ops = BatchOps {
            row_count: |rows| *rows,
            atomicity: |_| Atomicity::SingleStatement,
            insert_all: |_, writes, _| {
                Box::pin(async { Ok(vec![Some(writes.len()); writes.len()]) })
            },
            insert_one: |_, _, _| Box::pin(async { Ok::<_, WriteError<Failure>>(ALONE) }),
        };
        let database = place.ready(&REQUIREMENTS).await;
        let bulk = database.batcher(ops, Clock::system());

        let results = soon(join_all([rows; 3].map(|rows| bulk.write(rows)))).await;

        let results: Vec<_> = results.into_iter().map(Result::unwrap).collect();
        assert_eq!(results, together, "{rows} rows each");
    }
}

#[tokio::test]
async fn no_more_are_committed_together_than_a_batch_has() {
    let mut place = Place::migrated().await;
    place.settings.max_write_batch = NonZeroUsize::new(2).unwrap();
    let database = place.ready(&REQUIREMENTS).await;
    let names = names(&database);
    let alone = database.write(Atomicity::SingleStatement, |connection| {
        Box::pin(async move {
            sqlx::query("delete from users where nickname = 'a'")
                .execute(connection)
                .await?;
            Ok::<_, WriteError<Failure>>(())
        })
    });

    // A panic fails all writes that are committed with it.
    let (results, alone) =
        soon(async { join!(write(&names, &["a", "b", "c", "panic"]), alone) }).await;

    let done = results.iter().map(Result::is_ok).collect::<Vec<_>>();
    assert_eq!(done, [true, true, false, false]);
    assert!(alone.is_ok(), "{alone:?}");
    assert_eq!(place.nicknames().await, ["b"]);
}

#[tokio::test]
async fn an_engine_failure_or_a_panic_undoes_the_batch_and_the_queue_goes_on() {
    for fault in ["engine", "panic", "left to panic"] {
        let place = Place::migrated().await;
        let names = names(&place.ready(&REQUIREMENTS).await);

        let results = write(&names, &["a", fault, "b"]).await;
        let afterwards = write(&names, &["c"]).await;

        for failed in results {
            let engine = matches!(failed, Err(Failure::Database(Error::Engine(_))));
            assert!(engine, "{fault}: {failed:?}");
        }
        assert!(matches!(afterwards.as_slice(), [Ok(1)]), "{afterwards:?}");
        assert_eq!(place.nicknames().await, ["c"], "{fault}");
    }
}

#[tokio::test]
async fn writes_that_violate_a_constraint_together_are_executed_alone_in_their_order() {
    let place = Place::migrated().await;
    let names = names(&place.ready(&REQUIREMENTS).await);
    write(&names, &["taken"]).await;

    let results = write(
        &names,
        &["b", "taken", "refused", "a", "check", "left", "b"],
    )
    .await;
    let afterwards = write(&names, &["c"]).await;

    let alone = |result: &Result<usize, Failure>| matches!(result, Ok(ALONE));
    let violated = |result: &Result<usize, Failure>| {
        matches!(result, Err(Failure::Database(Error::Engine(_))))
    };
    for (index, result) in results.iter().enumerate() {
        match index {
            1 | 4 | 6 => assert!(violated(result), "{index}: {result:?}"),
            2 => assert!(matches!(result, Err(Failure::Refused)), "{result:?}"),
            _ => assert!(alone(result), "{index}: {result:?}"),
        }
    }
    assert!(matches!(afterwards.as_slice(), [Ok(1)]), "{afterwards:?}");
    assert_eq!(place.nicknames().await, ["taken", "b", "a", "left", "c"]);
}

#[tokio::test]
async fn a_batch_waits_for_another_process() {
    let place = Place::migrated().await;
    let names = names(&place.ready(&REQUIREMENTS).await);
    let lock = place.lock().await;
    let mut waiting = pin!(names.write("a"));
    for _ in 0..100 {
        assert!(poll!(&mut waiting).is_pending());
        yield_now().await;
    }

    lock.close().await.unwrap();

    assert_eq!(soon(waiting).await.unwrap(), 1);
    assert_eq!(place.nicknames().await, ["a"]);
}

#[tokio::test]
async fn writes_receive_the_time_of_their_execution() {
    for name in ["a", "left"] {
        let place = Place::migrated().await;
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let names: Names = place.ready(&REQUIREMENTS).await.batcher(OPS, clock.clone());
        let mut write = pin!(names.write(name));

        assert!(poll!(&mut write).is_pending());
        clock.advance(Duration::from_secs(1));
        soon(write).await.unwrap();

        let mut connection = place.connect().await;
        let created: i64 = sqlx::query_scalar("select create_time from users")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        assert_eq!(created, 1_000_000);
    }
}

#[tokio::test]
async fn each_write_of_a_batch_takes_a_place_in_the_queue() {
    let mut place = Place::migrated().await;
    place.settings.write_queue_capacity = NonZeroUsize::new(2).unwrap();
    let names = names(&place.ready(&REQUIREMENTS).await);

    let results = write(&names, &["a", "b", "c", "d"]).await;

    let (accepted, refused) = results.split_at(2);
    assert!(accepted.iter().all(Result::is_ok), "{accepted:?}");
    for refused in refused {
        let overloaded = matches!(refused, Err(Failure::Database(Error::Overloaded)));
        assert!(overloaded, "{refused:?}");
    }
    assert_eq!(place.nicknames().await, ["a", "b"]);
}

#[tokio::test]
async fn a_cancelled_write_of_a_batch_is_not_executed() {
    let mut place = Place::migrated().await;
    place.settings.lock_timeout = Duration::from_secs(3600);
    let names = names(&place.ready(&REQUIREMENTS).await);
    let lock = place.lock().await;
    let mut stays = pin!(names.write("susan"));

    {
        let mut leaves = pin!(names.write("gone"));
        // Long enough for the writer to try in vain.
        for _ in 0..100 {
            assert!(poll!(&mut stays).is_pending());
            assert!(poll!(&mut leaves).is_pending());
            yield_now().await;
        }
    }
    lock.close().await.unwrap();

    assert_eq!(soon(stays).await.unwrap(), 1);
    assert_eq!(place.nicknames().await, ["susan"]);
}

#[tokio::test]
async fn a_write_that_joins_a_waiting_batch_waits_for_write_wait_itself() {
    let mut place = Place::migrated().await;
    place.settings.lock_timeout = Duration::from_millis(300);
    let names = names(&place.ready(&REQUIREMENTS).await);
    let lock = place.lock().await;
    let later = Duration::from_millis(150);

    let begun = Instant::now();
    let first = async { (names.write("a").await, begun.elapsed()) };
    let second = async {
        tokio::time::sleep(later).await;
        (names.write("b").await, begun.elapsed())
    };
    let ((one, one_took), (other, other_took)) = soon(async { join!(first, second) }).await;
    lock.close().await.unwrap();

    for busy in [one, other] {
        let locked = matches!(busy, Err(Failure::Database(Error::Busy)));
        assert!(locked, "{busy:?}");
    }
    assert!(other_took >= one_took.min(Duration::from_millis(300)) + later / 2);
    assert_eq!(place.nicknames().await, [""; 0]);
}

#[tokio::test]
async fn a_batch_that_never_runs_fails_its_callers_and_later_ones() {
    let place = Place::migrated().await;
    let never_ready = place.database(&REQUIREMENTS);
    let names = names(&never_ready);
    let mut waiting = pin!(names.write("a"));
    assert!(poll!(&mut waiting).is_pending());

    soon(never_ready.close()).await;
    let waited = soon(waiting).await;
    let late = soon(names.write("b")).await;

    for refused in [waited, late] {
        let closed = matches!(refused, Err(Failure::Database(Error::ShuttingDown)));
        assert!(closed, "{refused:?}");
    }
}
