//! Batches of writes. The tests run on one thread, so all writes that are queued before the writer
//! task runs form one batch.

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

use super::{TestDir, assert_stays_pending, within_timeout};

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

type Names = Batcher<&'static str, usize, Failure>;

/// The result of a user who was inserted individually.
const INDIVIDUAL: usize = 0;

/// Users whom `insert_all` leaves to `insert_one`: one is rejected after the INSERT, and one panics.
const LEFT: [&str; 3] = ["left", "rejected", "left to panic"];

/// Inserts all users except those in `LEFT` in one statement. If the statement violates a constraint,
/// which `check` causes, it inserts none. The result of each user is the size of the batch. `panic`
/// panics, and `engine` causes an error of SQLite.
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

/// Inserts one user. `check` violates a constraint.
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
        if *name == "rejected" {
            return Err(WriteError::Rejected(Failure::Rejected));
        }
        Ok(INDIVIDUAL)
    })
}

const OPS: BatchOps<&str, usize, Failure> = BatchOps {
    row_count: |_| 1,
    atomicity: |name| match *name {
        "rejected" => Atomicity::Savepoint,
        _ => Atomicity::SingleStatement,
    },
    insert_all,
    insert_one,
};

fn names(database: &Database) -> Names {
    database.batcher(OPS, Clock::system())
}

async fn write(names: &Names, all: &[&'static str]) -> Vec<Result<usize, Failure>> {
    within_timeout(join_all(all.iter().map(|&name| names.write(name)))).await
}

#[tokio::test]
async fn batched_writes_return_individual_results() {
    let dir = TestDir::migrated().await;
    let names = names(&dir.ready(&REQUIREMENTS).await);

    let results = write(&names, &["a", "rejected", "b"]).await;
    let afterwards = write(&names, &["c"]).await;

    assert!(
        matches!(results.as_slice(), [Ok(3), Err(Failure::Rejected), Ok(3)]),
        "{results:?}"
    );
    assert!(matches!(afterwards.as_slice(), [Ok(1)]), "{afterwards:?}");
    assert_eq!(dir.nicknames().await, ["a", "b", "c"]);
}

#[tokio::test]
async fn writes_from_the_same_runtime_tick_share_a_commit() {
    let dir = TestDir::migrated().await;
    let names = names(&dir.ready(&REQUIREMENTS).await);
    write(&names, &["z"]).await;

    let later = async {
        yield_now().await;
        names.write("b").await
    };
    let (first, later) = within_timeout(async { join!(names.write("a"), later) }).await;

    assert_eq!((first.unwrap(), later.unwrap()), (2, 2));
}

#[tokio::test]
async fn a_batch_never_exceeds_max_write_batch() {
    let mut dir = TestDir::migrated().await;
    dir.settings.max_write_batch = NonZeroUsize::new(2).unwrap();
    let names = names(&dir.ready(&REQUIREMENTS).await);

    let results = write(&names, &["a", "b", "c", "d", "e"]).await;

    let together: Vec<_> = results.into_iter().map(Result::unwrap).collect();
    assert_eq!(together, [2, 2, 2, 2, 1]);
    assert_eq!(dir.nicknames().await, ["a", "b", "c", "d", "e"]);
}

#[tokio::test]
async fn a_batch_has_at_most_6400_rows_unless_one_write_has_more() {
    for (rows, together) in [(3_200, [2, 2, 1]), (3_201, [1, 1, 1]), (6_401, [1, 1, 1])] {
        let dir = TestDir::migrated().await;
        let ops = BatchOps {
            row_count: |rows| *rows,
            atomicity: |_| Atomicity::SingleStatement,
            insert_all: |_, writes, _| {
                Box::pin(async { Ok(vec![Some(writes.len()); writes.len()]) })
            },
            insert_one: |_, _, _| Box::pin(async { Ok::<_, WriteError<Failure>>(INDIVIDUAL) }),
        };
        let database = dir.ready(&REQUIREMENTS).await;
        let batcher = database.batcher(ops, Clock::system());

        let results = within_timeout(join_all([rows; 3].map(|rows| batcher.write(rows)))).await;

        let results: Vec<_> = results.into_iter().map(Result::unwrap).collect();
        assert_eq!(results, together, "{rows} rows each");
    }
}

#[tokio::test]
async fn a_transaction_never_exceeds_max_write_batch() {
    let mut dir = TestDir::migrated().await;
    dir.settings.max_write_batch = NonZeroUsize::new(2).unwrap();
    let database = dir.ready(&REQUIREMENTS).await;
    let names = names(&database);
    let single = database.write(Atomicity::SingleStatement, |connection| {
        Box::pin(async move {
            sqlx::query("delete from users where nickname = 'a'")
                .execute(connection)
                .await?;
            Ok::<_, WriteError<Failure>>(())
        })
    });

    // A panic fails all writes of its transaction.
    let (results, single) =
        within_timeout(async { join!(write(&names, &["a", "b", "c", "panic"]), single) }).await;

    let done = results.iter().map(Result::is_ok).collect::<Vec<_>>();
    assert_eq!(done, [true, true, false, false]);
    assert!(single.is_ok(), "{single:?}");
    assert_eq!(dir.nicknames().await, ["b"]);
}

#[tokio::test]
async fn an_engine_error_or_a_panic_rolls_back_only_its_batch() {
    for fault in ["engine", "panic", "left to panic"] {
        let dir = TestDir::migrated().await;
        let names = names(&dir.ready(&REQUIREMENTS).await);

        let results = write(&names, &["a", fault, "b"]).await;
        let afterwards = write(&names, &["c"]).await;

        for failed in results {
            let engine = matches!(failed, Err(Failure::Database(Error::Engine(_))));
            assert!(engine, "{fault}: {failed:?}");
        }
        assert!(matches!(afterwards.as_slice(), [Ok(1)]), "{afterwards:?}");
        assert_eq!(dir.nicknames().await, ["c"], "{fault}");
    }
}

#[tokio::test]
async fn writes_that_conflict_are_executed_individually_in_order() {
    let dir = TestDir::migrated().await;
    let names = names(&dir.ready(&REQUIREMENTS).await);
    write(&names, &["taken"]).await;

    let results = write(
        &names,
        &["b", "taken", "rejected", "a", "check", "left", "b"],
    )
    .await;
    let afterwards = write(&names, &["c"]).await;

    let individual = |result: &Result<usize, Failure>| matches!(result, Ok(INDIVIDUAL));
    let violated = |result: &Result<usize, Failure>| {
        matches!(result, Err(Failure::Database(Error::Engine(_))))
    };
    for (index, result) in results.iter().enumerate() {
        match index {
            1 | 4 | 6 => assert!(violated(result), "{index}: {result:?}"),
            2 => assert!(matches!(result, Err(Failure::Rejected)), "{result:?}"),
            _ => assert!(individual(result), "{index}: {result:?}"),
        }
    }
    assert!(matches!(afterwards.as_slice(), [Ok(1)]), "{afterwards:?}");
    assert_eq!(dir.nicknames().await, ["taken", "b", "a", "left", "c"]);
}

#[tokio::test]
async fn a_batch_waits_for_the_lock_of_another_process() {
    let dir = TestDir::migrated().await;
    let names = names(&dir.ready(&REQUIREMENTS).await);
    let lock = dir.lock().await;
    let mut waiting = pin!(names.write("a"));
    assert_stays_pending(waiting.as_mut()).await;

    lock.close().await.unwrap();

    assert_eq!(within_timeout(waiting).await.unwrap(), 1);
    assert_eq!(dir.nicknames().await, ["a"]);
}

#[tokio::test]
async fn writes_receive_the_time_of_their_execution() {
    for name in ["a", "left"] {
        let dir = TestDir::migrated().await;
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let names: Names = dir.ready(&REQUIREMENTS).await.batcher(OPS, clock.clone());
        let mut write = pin!(names.write(name));

        assert!(poll!(&mut write).is_pending());
        clock.advance(Duration::from_secs(1));
        within_timeout(write).await.unwrap();

        let mut connection = dir.connect().await;
        let created: i64 = sqlx::query_scalar("select create_time from users")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        assert_eq!(created, 1_000_000);
    }
}

#[tokio::test]
async fn each_write_of_a_batch_counts_towards_the_queue_capacity() {
    let mut dir = TestDir::migrated().await;
    dir.settings.write_queue_capacity = NonZeroUsize::new(2).unwrap();
    let names = names(&dir.ready(&REQUIREMENTS).await);

    let results = write(&names, &["a", "b", "c", "d"]).await;

    let (accepted, rejected) = results.split_at(2);
    assert!(accepted.iter().all(Result::is_ok), "{accepted:?}");
    for rejected in rejected {
        let overloaded = matches!(rejected, Err(Failure::Database(Error::Overloaded)));
        assert!(overloaded, "{rejected:?}");
    }
    assert_eq!(dir.nicknames().await, ["a", "b"]);
}

#[tokio::test]
async fn a_cancelled_write_of_a_batch_is_not_executed() {
    let mut dir = TestDir::migrated().await;
    dir.settings.lock_timeout = Duration::from_hours(1);
    let names = names(&dir.ready(&REQUIREMENTS).await);
    let lock = dir.lock().await;
    let mut stays = pin!(names.write("susan"));
    assert!(poll!(&mut stays).is_pending());

    assert_stays_pending(pin!(names.write("cancelled"))).await;
    lock.close().await.unwrap();

    assert_eq!(within_timeout(stays).await.unwrap(), 1);
    assert_eq!(dir.nicknames().await, ["susan"]);
}

#[tokio::test]
async fn a_write_that_joins_a_waiting_batch_has_its_own_lock_timeout() {
    let mut dir = TestDir::migrated().await;
    dir.settings.lock_timeout = Duration::from_millis(300);
    let names = names(&dir.ready(&REQUIREMENTS).await);
    let lock = dir.lock().await;
    let later = Duration::from_millis(150);

    let begun = Instant::now();
    let first = async { (names.write("a").await, begun.elapsed()) };
    let second = async {
        tokio::time::sleep(later).await;
        (names.write("b").await, begun.elapsed())
    };
    let ((one, one_took), (other, other_took)) =
        within_timeout(async { join!(first, second) }).await;
    lock.close().await.unwrap();

    for busy in [one, other] {
        let locked = matches!(busy, Err(Failure::Database(Error::Busy)));
        assert!(locked, "{busy:?}");
    }
    assert!(other_took >= one_took.min(Duration::from_millis(300)) + later / 2);
    assert_eq!(dir.nicknames().await, [""; 0]);
}

#[tokio::test]
async fn closing_an_unstarted_queue_fails_batches_and_later_writes() {
    let dir = TestDir::migrated().await;
    let never_ready = dir.database(&REQUIREMENTS);
    let names = names(&never_ready);
    let mut waiting = pin!(names.write("a"));
    assert!(poll!(&mut waiting).is_pending());

    within_timeout(never_ready.close()).await;
    let waited = within_timeout(waiting).await;
    let late = within_timeout(names.write("b")).await;

    for rejected in [waited, late] {
        let closed = matches!(rejected, Err(Failure::Database(Error::ShuttingDown)));
        assert!(closed, "{rejected:?}");
    }
}
