//! Writes of one kind that gather: what is queued before the writer's task runs is one
//! transaction, and one call of the function that does them all.

use std::{
    future::ready,
    num::NonZeroUsize,
    pin::pin,
    time::{Duration, Instant},
};

use chassis::{
    database::{
        Error, Scope, Stop,
        sqlite::{Bulk, Database, Ways, json},
    },
    process::clock::Clock,
};
use chrono::{DateTime, Utc};
use futures::{future::BoxFuture, future::join_all, join, poll};
use sqlx::{Connection, SqliteConnection};
use tokio::task::yield_now;
use user_service::store::NEEDS;

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

type Names = Bulk<&'static str, usize, Failure>;

/// Inserts users, and says of each with how many it came. `refused` is refused, `panic`
/// panics, `check` violates a constraint.
fn insert_all<'c>(
    connection: &'c mut SqliteConnection,
    names: &'c [&'static str],
    now: DateTime<Utc>,
) -> BoxFuture<'c, Result<Vec<Result<usize, Failure>>, sqlx::Error>> {
    Box::pin(async move {
        let mut results = Vec::new();
        for &name in names {
            assert_ne!(name, "panic", "a deliberate panic");
            if name == "refused" {
                results.push(Err(Failure::Refused));
                continue;
            }
            let revision = i64::from(name != "check");
            let insert = sqlx::query(
                "insert into users
                    (nickname, nickname_key, email, email_key, role, create_time, update_time,
                    revision)
                values (?1, ?1, ?1 || '@example.com', ?1, 0, ?3, ?3, ?2)",
            );
            insert
                .bind(name)
                .bind(revision)
                .bind(now.timestamp_micros())
                .execute(&mut *connection)
                .await?;
            results.push(Ok(names.len()));
        }
        Ok(results)
    })
}

fn names(database: &Database) -> Names {
    names_of(database, Clock::system())
}

fn names_of(database: &Database, clock: Clock) -> Names {
    database.bulk(
        Ways {
            rows: |_| 1,
            at_once: |_, _, _| Box::pin(ready(Ok(None))),
            each: insert_all,
        },
        clock,
    )
}

/// What is said of a user who came with others in one statement.
const AT_ONCE: usize = 1000;

/// Inserts users by one statement, unless one of them is `refused`. `panic` panics, `check`
/// violates a constraint, `engine` is no JSON.
fn insert_at_once<'c>(
    connection: &'c mut SqliteConnection,
    names: &'c [&'static str],
    now: DateTime<Utc>,
) -> BoxFuture<'c, Result<Option<Vec<usize>>, sqlx::Error>> {
    Box::pin(async move {
        assert!(!names.contains(&"panic"), "a deliberate panic");
        if names.contains(&"refused") {
            return Ok(None);
        }
        sqlx::query(
            "insert into users
                (nickname, nickname_key, email, email_key, role, create_time, update_time, revision)
            select value, value, value || '@example.com', value, 0, ?2, ?2,
                case value when 'check' then 0 when 'engine' then value ->> '$' else 1 end
            from json_each(?1)",
        )
        .bind(json(&names)?)
        .bind(now.timestamp_micros())
        .execute(connection)
        .await?;
        Ok(Some(vec![AT_ONCE; names.len()]))
    })
}

fn names_at_once(database: &Database) -> Names {
    names_at_once_of(database, Clock::system())
}

fn names_at_once_of(database: &Database, clock: Clock) -> Names {
    database.bulk(
        Ways {
            rows: |_| 1,
            at_once: insert_at_once,
            each: insert_all,
        },
        clock,
    )
}

async fn write(names: &Names, all: &[&'static str]) -> Vec<Result<usize, Failure>> {
    soon(join_all(all.iter().map(|&name| names.write(name)))).await
}

#[tokio::test]
async fn what_has_gathered_is_written_together_and_everybody_gets_a_result_of_their_own() {
    let place = Place::migrated().await;
    let names = names(&place.ready(&NEEDS).await);

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
async fn who_comes_in_the_same_turn_of_the_loop_does_not_wait_for_a_commit_of_the_first() {
    let place = Place::migrated().await;
    let names = names(&place.ready(&NEEDS).await);
    write(&names, &["z"]).await;

    let later = async {
        yield_now().await;
        names.write("b").await
    };
    let (first, later) = soon(async { join!(names.write("a"), later) }).await;

    assert_eq!((first.unwrap(), later.unwrap()), (2, 2));
}

#[tokio::test]
async fn no_more_come_together_than_a_batch_has() {
    let mut place = Place::migrated().await;
    place.settings.write_batch = NonZeroUsize::new(2).unwrap();
    let names = names(&place.ready(&NEEDS).await);

    let results = write(&names, &["a", "b", "c", "d", "e"]).await;

    let together: Vec<_> = results.into_iter().map(Result::unwrap).collect();
    assert_eq!(together, [2, 2, 2, 2, 1]);
    assert_eq!(place.nicknames().await, ["a", "b", "c", "d", "e"]);
}

#[tokio::test]
async fn no_more_rows_come_together_than_6400_but_for_a_write_that_has_more() {
    for (rows, together) in [(3_200, [2, 2, 1]), (3_201, [1, 1, 1]), (6_401, [1, 1, 1])] {
        let place = Place::migrated().await;
        let ways = Ways {
            rows: |rows| *rows,
            at_once: |_, _, _| Box::pin(ready(Ok(None))),
            each: |_, writes, _| {
                let results = writes.iter().map(|_| Ok::<_, Failure>(writes.len()));
                Box::pin(ready(Ok(results.collect())))
            },
        };
        let database = place.ready(&NEEDS).await;
        let bulk: Bulk<usize, usize, Failure> = database.bulk(ways, Clock::system());

        let results = soon(join_all([rows; 3].map(|rows| bulk.write(rows)))).await;

        let results: Vec<_> = results.into_iter().map(Result::unwrap).collect();
        assert_eq!(results, together, "{rows} rows each");
    }
}

#[tokio::test]
async fn no_more_are_committed_together_than_a_batch_has() {
    let mut place = Place::migrated().await;
    place.settings.write_batch = NonZeroUsize::new(2).unwrap();
    let database = place.ready(&NEEDS).await;
    let names = names(&database);
    let alone = database.write(Scope::Statement, |connection| {
        Box::pin(async move {
            sqlx::query("delete from users where nickname = 'a'")
                .execute(connection)
                .await?;
            Ok::<_, Stop<Failure>>(())
        })
    });

    // What fails of the engine fails with all that is committed with it.
    let (results, alone) =
        soon(async { join!(write(&names, &["a", "b", "c", "panic"]), alone) }).await;

    let done = results.iter().map(Result::is_ok).collect::<Vec<_>>();
    assert_eq!(done, [true, true, false, false]);
    assert!(alone.is_ok(), "{alone:?}");
    assert_eq!(place.nicknames().await, ["b"]);
}

#[tokio::test]
async fn a_failure_of_the_engine_or_a_panic_undoes_all_and_the_queue_goes_on() {
    for fault in ["check", "panic"] {
        let place = Place::migrated().await;
        let names = names(&place.ready(&NEEDS).await);

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
async fn what_one_statement_can_do_it_does_and_what_it_refuses_is_done_one_by_one() {
    let place = Place::migrated().await;
    let names = names_at_once(&place.ready(&NEEDS).await);

    let together = write(&names, &["a", "b"]).await;
    let with_one_refused = write(&names, &["c", "refused", "d"]).await;
    let with_a_constraint = write(&names, &["e", "a"]).await;
    let afterwards = write(&names, &["f"]).await;

    assert!(
        matches!(together.as_slice(), [Ok(AT_ONCE), Ok(AT_ONCE)]),
        "{together:?}"
    );
    assert!(
        matches!(
            with_one_refused.as_slice(),
            [Ok(3), Err(Failure::Refused), Ok(3)]
        ),
        "{with_one_refused:?}"
    );
    // It is no refusal of one of them, as this test does it, but the end of both.
    for failed in with_a_constraint {
        let engine = matches!(failed, Err(Failure::Database(Error::Engine(_))));
        assert!(engine, "{failed:?}");
    }
    assert!(
        matches!(afterwards.as_slice(), [Ok(AT_ONCE)]),
        "{afterwards:?}"
    );
    assert_eq!(place.nicknames().await, ["a", "b", "c", "d", "f"]);
}

#[tokio::test]
async fn a_statement_that_fails_or_panics_leaves_nothing_and_the_queue_goes_on() {
    for fault in ["engine", "panic"] {
        let place = Place::migrated().await;
        let names = names_at_once(&place.ready(&NEEDS).await);

        let results = write(&names, &["a", fault, "b"]).await;
        let afterwards = write(&names, &["c"]).await;

        for failed in results {
            let engine = matches!(failed, Err(Failure::Database(Error::Engine(_))));
            assert!(engine, "{fault}: {failed:?}");
        }
        assert!(
            matches!(afterwards.as_slice(), [Ok(AT_ONCE)]),
            "{afterwards:?}"
        );
        assert_eq!(place.nicknames().await, ["c"], "{fault}");
    }
}

#[tokio::test]
async fn one_statement_waits_for_another_process_as_a_transaction_does() {
    let place = Place::migrated().await;
    let names = names_at_once(&place.ready(&NEEDS).await);
    let lock = place.lock().await;
    let mut waiting = pin!(names.write("a"));
    for _ in 0..100 {
        assert!(poll!(&mut waiting).is_pending());
        yield_now().await;
    }

    lock.close().await.unwrap();

    assert_eq!(soon(waiting).await.unwrap(), AT_ONCE);
    assert_eq!(place.nicknames().await, ["a"]);
}

#[tokio::test]
async fn writes_have_the_time_of_when_they_are_done() {
    for names_of in [names_of, names_at_once_of] {
        let place = Place::migrated().await;
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let names = names_of(&place.ready(&NEEDS).await, clock.clone());
        let mut write = pin!(names.write("a"));

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
async fn each_of_those_who_gather_has_a_place_in_the_queue() {
    let mut place = Place::migrated().await;
    place.settings.write_queue = NonZeroUsize::new(2).unwrap();
    let names = names(&place.ready(&NEEDS).await);

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
async fn nothing_is_written_for_one_of_them_who_went_away() {
    let mut place = Place::migrated().await;
    place.settings.write_wait = Duration::from_secs(3600);
    let names = names(&place.ready(&NEEDS).await);
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
async fn who_comes_while_another_process_writes_joins_and_waits_for_as_long_as_anybody() {
    let mut place = Place::migrated().await;
    place.settings.write_wait = Duration::from_millis(300);
    let names = names(&place.ready(&NEEDS).await);
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
async fn whoever_still_gathers_when_the_database_is_closed_is_answered() {
    let place = Place::migrated().await;
    let never_ready = place.database(&NEEDS);
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
