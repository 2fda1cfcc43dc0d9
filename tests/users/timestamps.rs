//! Creation and update times.

use std::time::Duration;

use chassis::process::clock::Clock;
use chrono::{DateTime, Utc};
use futures::{future::join_all, join};
use prost_types::Timestamp;
use proto::user::v1::{CreateUserRequest, ListUsersRequest, User, user_mutation::Mutation};

use super::{commit, named, nicknames, update};
use crate::support::System;

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_800_000_000_123_456).unwrap()
}

fn micros(timestamp: Option<Timestamp>) -> i64 {
    let Timestamp { seconds, nanos } = timestamp.unwrap();
    assert_eq!(nanos % 1000, 0, "it is not a whole number of microseconds");
    seconds * 1_000_000 + i64::from(nanos) / 1000
}

#[tokio::test]
async fn times_have_the_microseconds_of_the_clock() {
    let clock = Clock::manual(noon());
    let system = System::at(clock.clone()).await;

    let created = system.create(named("susan")).await.unwrap();
    clock.advance(Duration::from_micros(7));
    let renamed = User {
        nickname: "sue".into(),
        ..created.clone()
    };
    let updated = system.update(update(renamed, &["nickname"])).await.unwrap();

    assert_eq!(micros(created.create_time), noon().timestamp_micros());
    assert_eq!(micros(updated.update_time), noon().timestamp_micros() + 7);
}

#[tokio::test]
async fn a_queued_creation_gets_the_time_of_its_execution() {
    let clock = Clock::manual(noon());
    let system = System::at(clock.clone()).await;
    let first = system.create(named("first")).await.unwrap();
    let creation = |name| Mutation::Create(named(name));
    let validated = CreateUserRequest {
        user: Some(named("validated")),
        validate_only: true,
        ..CreateUserRequest::default()
    };
    let lock = system.database().lock().await;

    let (created, validated, committed, ()) = join!(
        system.create(named("second")),
        system.create_by(validated),
        system.commit(commit([creation("third"), creation("fourth")])),
        async {
            // The server starts the calls of one connection in their order. When this call
            // returns, the calls before it are in the write queue.
            system.get(first.id).await.unwrap();
            clock.advance(Duration::from_mins(1));
            lock.release().await;
        }
    );

    let mut written = vec![created.unwrap(), validated.unwrap()];
    written.extend(committed.unwrap().into_iter().map(Option::unwrap));
    // In milliseconds: the creation times of a batch are one microsecond apart.
    let waited = written
        .iter()
        .map(|user| (micros(user.create_time) - noon().timestamp_micros()) / 1000);
    assert_eq!(waited.collect::<Vec<_>>(), [60_000; 4]);
}

#[tokio::test]
async fn creation_times_rise_while_the_clock_is_stopped() {
    let system = System::at(Clock::manual(noon())).await;

    let mut users = vec![system.create(named("first")).await.unwrap()];
    users.extend(system.create_all(["second", "third"]).await);
    users.push(system.create(named("fourth")).await.unwrap());

    let times: Vec<_> = users.iter().map(|user| micros(user.create_time)).collect();
    assert_eq!(times[0], noon().timestamp_micros());
    assert!(
        times.is_sorted_by(|earlier, later| earlier < later),
        "{times:?}"
    );
    for user in users {
        assert_eq!(user.create_time, user.update_time);
    }
}

#[tokio::test]
async fn creation_times_rise_after_the_clock_was_set_back() {
    let system = System::at(Clock::manual(noon())).await;
    let first = system.create(named("first")).await.unwrap();

    let system = system.restart(Clock::manual(DateTime::UNIX_EPOCH)).await;
    let second = system.create(named("second")).await.unwrap();
    let listed = system
        .list(ListUsersRequest {
            order_by: "create_time desc".into(),
            ..ListUsersRequest::default()
        })
        .await
        .unwrap();

    assert!(micros(second.create_time) > micros(first.create_time));
    assert_eq!(nicknames(&listed.users), ["second", "first"]);
}

#[tokio::test]
async fn batched_creation_times_rise_after_the_clock_was_set_back() {
    let system = System::at(Clock::manual(noon())).await;
    let first = system.create(named("first")).await.unwrap();

    let system = system.restart(Clock::manual(DateTime::UNIX_EPOCH)).await;
    let names: Vec<_> = (0..16).map(|n| format!("user{n}")).collect();
    let created = join_all(names.iter().map(|name| system.create(named(name)))).await;

    let mut users: Vec<User> = created.into_iter().map(Result::unwrap).collect();
    users.push(first);
    users.sort_by_key(|user| user.id);
    let times: Vec<_> = users.iter().map(|user| micros(user.create_time)).collect();
    assert!(
        times.is_sorted_by(|earlier, later| earlier < later),
        "{times:?}"
    );
}

#[tokio::test]
async fn an_update_time_never_falls_after_the_clock_was_set_back() {
    let system = System::at(Clock::manual(noon())).await;
    let created = system.create(named("susan")).await.unwrap();

    let system = system.restart(Clock::manual(DateTime::UNIX_EPOCH)).await;
    let renamed = User {
        nickname: "sue".into(),
        ..created.clone()
    };
    let updated = system.update(update(renamed, &["nickname"])).await.unwrap();

    assert!(micros(updated.update_time) >= micros(created.update_time));
    assert_ne!(updated.etag, created.etag);
}
