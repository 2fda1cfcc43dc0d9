//! Requests with an idempotency key (`request_id`), and their replays.

use std::time::Duration;

use chassis::process::clock::Clock;
use chrono::{DateTime, Utc};
use futures::{future::join_all, join};
use proto::user::v1::{CommitUsersRequest, CreateUserRequest, User, user_mutation::Mutation};
use tonic::Code;
use uuid::Uuid;

use super::{assert_refused, assert_violation, commit, delete, named, update, user};
use crate::support::{self, System};

const MICROSECOND: Duration = Duration::from_micros(1);

const DAY: Duration = Duration::from_hours(24);

/// Selects the idempotency keys that are recorded.
const REQUESTS: &str = "select hex(request_id) from user_requests order by id";

fn request_id() -> String {
    Uuid::new_v4().to_string()
}

fn create(request_id: &str, user: User) -> CreateUserRequest {
    CreateUserRequest {
        user: Some(user),
        request_id: request_id.into(),
        validate_only: false,
    }
}

fn commit_by(
    request_id: &str,
    mutations: impl IntoIterator<Item = Mutation>,
) -> CommitUsersRequest {
    CommitUsersRequest {
        request_id: request_id.into(),
        ..commit(mutations)
    }
}

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

#[tokio::test]
async fn a_replay_returns_the_first_response_and_creates_nothing() {
    let system = System::start().await;
    let id = request_id();
    let first = system.create_by(create(&id, named("susan"))).await.unwrap();
    let before = system.stored().await;

    // UUIDs that differ only in letter case are equal.
    for id in [id.clone(), id.to_uppercase()] {
        let repeated = system.create_by(create(&id, named("susan"))).await.unwrap();

        assert_eq!(repeated, first);
    }
    assert_eq!(system.stored().await, before);
}

#[tokio::test]
async fn a_replay_returns_the_first_response_after_the_user_changed() {
    let system = System::start().await;
    let id = request_id();
    let first = system.create_by(create(&id, named("susan"))).await.unwrap();
    let renamed = User {
        id: first.id,
        nickname: "sue".into(),
        ..User::default()
    };

    system.update(update(renamed, &[])).await.unwrap();
    let after_update = system.create_by(create(&id, named("susan"))).await.unwrap();
    system.delete(delete(first.id)).await.unwrap();
    let after_delete = system.create_by(create(&id, named("susan"))).await.unwrap();

    assert_eq!((&after_update, &after_delete), (&first, &first));
    assert_eq!(system.query("select nickname from users").await, [""; 0]);
}

#[tokio::test]
async fn equal_concurrent_requests_create_one_user() {
    let system = System::start().await;
    let id = request_id();

    let results = join_all((0..20).map(|_| system.create_by(create(&id, named("susan"))))).await;

    let first = results[0].as_ref().unwrap();
    assert!(
        results
            .iter()
            .all(|result| result.as_ref().unwrap() == first)
    );
    let stored = system.query("select nickname from users").await;
    assert_eq!(stored, ["susan"]);
}

#[tokio::test]
async fn concurrent_requests_are_executed_once_and_replayed() {
    let system = System::start().await;
    system.create_user("taken").await.unwrap();
    let requests: Vec<_> = (0..64)
        .map(|n| {
            let nickname = if n % 8 == 5 {
                "TAKEN".into()
            } else {
                format!("user{n}")
            };
            create(&request_id(), named(&nickname))
        })
        .collect();
    let all = |round: &'static str| {
        let with_id = requests
            .iter()
            .map(|request| system.create_by(request.clone()));
        let without = (0..8).map(move |n| format!("{round}{n}"));
        let without = without.map(async |nickname| system.create(named(&nickname)).await);
        async { join!(join_all(with_id), join_all(without)) }
    };

    let (first, _) = all("first").await;
    let (again, _) = all("again").await;

    for (n, (first, again)) in first.iter().zip(&again).enumerate() {
        if n % 8 == 5 {
            for status in [first, again].map(|result| result.as_ref().unwrap_err()) {
                assert_refused(status, Code::AlreadyExists, "NICKNAME_TAKEN");
            }
        } else {
            assert_eq!(first.as_ref().unwrap().nickname, format!("user{n}"));
            assert_eq!(again.as_ref().unwrap(), first.as_ref().unwrap());
        }
    }
    let stored = system.query("select nickname from users").await;
    assert_eq!(stored.len(), 1 + 56 + 2 * 8);
}

#[tokio::test]
async fn a_request_id_used_concurrently_creates_one_user() {
    // If a user is rejected, the creations of its batch are executed one by one.
    for with_rejected in [false, true] {
        let system = System::start().await;
        system.create_user("taken").await.unwrap();
        let (equal, reused, bad) = (request_id(), request_id(), request_id());
        let mut requests = Vec::new();
        for n in 0..16 {
            requests.push(create(&equal, named("equal")));
            requests.push(create(&reused, named(&format!("reused{n}"))));
            if with_rejected {
                let nickname = if n % 2 == 0 { "TAKEN" } else { "free" };
                requests.push(create(&bad, named(nickname)));
            }
        }

        let created = requests
            .iter()
            .map(|request| system.create_by(request.clone()));
        let results = join_all(created).await;

        let mut nicknames = vec!["taken".to_owned()];
        for id in [&equal, &reused, &bad] {
            let of_id = requests.iter().zip(&results);
            let of_id = of_id.filter(|(request, _)| request.request_id == *id);
            let mut users = Vec::new();
            for (request, result) in of_id {
                let nickname = &request.user.as_ref().unwrap().nickname;
                match result {
                    Ok(user) => {
                        assert_eq!(user.nickname, *nickname);
                        users.push(user);
                    }
                    Err(status) if status.code() == Code::AlreadyExists => {
                        assert_eq!(nickname, "TAKEN");
                        assert_refused(status, Code::AlreadyExists, "NICKNAME_TAKEN");
                    }
                    Err(status) => assert_violation(status, "REQUEST_ID_REUSED", "request_id"),
                }
            }
            users.dedup();
            nicknames.extend(users.iter().map(|user| user.nickname.clone()));
            let expected = usize::from(*id != bad || with_rejected);
            assert_eq!(users.len(), expected, "{users:?}");
        }
        let mut stored = system.query("select nickname from users").await;
        stored.sort();
        nicknames.sort();
        assert_eq!(stored, nicknames);
        let wait_for_records = system.query(REQUESTS).await.len();
        assert_eq!(wait_for_records, nicknames.len() - 1);
    }
}

#[tokio::test]
async fn requests_without_an_id_are_never_replays() {
    let system = System::start().await;
    system.create(named("susan")).await.unwrap();

    let status = system.create(named("susan")).await.unwrap_err();

    assert_eq!(status.code(), Code::AlreadyExists);
}

#[tokio::test]
async fn a_request_id_of_another_request_is_rejected() {
    let system = System::start().await;
    let id = request_id();
    system.create_by(create(&id, named("susan"))).await.unwrap();
    let before = system.stored().await;
    let other_email = user("susan", "sue@example.com");
    let other_role = User {
        role: 2,
        ..named("susan")
    };

    for other in [named("john"), other_email, other_role] {
        let only_validated = CreateUserRequest {
            validate_only: true,
            ..create(&id, other.clone())
        };
        for request in [create(&id, other), only_validated] {
            let status = system.create_by(request).await.unwrap_err();

            assert_violation(&status, "REQUEST_ID_REUSED", "request_id");
        }
    }
    assert_eq!(system.stored().await, before);
}

#[tokio::test]
async fn a_request_id_of_another_method_is_rejected() {
    let system = System::start().await;
    let (one, other) = (request_id(), request_id());
    let susan = || Mutation::Create(named("susan"));
    let john = || Mutation::Create(named("john"));
    system
        .create_by(create(&one, named("susan")))
        .await
        .unwrap();
    system.commit(commit_by(&other, [john()])).await.unwrap();
    let before = system.stored().await;

    let committed = system.commit(commit_by(&one, [susan()])).await.unwrap_err();
    let created = system
        .create_by(create(&other, named("john")))
        .await
        .unwrap_err();

    assert_violation(&committed, "REQUEST_ID_REUSED", "request_id");
    assert_violation(&created, "REQUEST_ID_REUSED", "request_id");
    assert_eq!(system.stored().await, before);
}

#[tokio::test]
async fn a_replayed_commit_returns_the_first_results() {
    let system = System::start().await;
    let id = request_id();
    let john = system.create(named("john")).await.unwrap();
    let renamed = User {
        id: john.id,
        nickname: "jack".into(),
        ..User::default()
    };
    let request = commit_by(
        &id,
        [
            Mutation::Create(named("susan")),
            Mutation::Update(update(renamed.clone(), &[])),
            Mutation::Delete(delete(john.id)),
        ],
    );
    let first = system.commit(request.clone()).await.unwrap();
    let before = system.stored().await;

    let repeats = join_all((0..20).map(|_| system.commit(request.clone()))).await;
    let shorter = commit_by(&id, [Mutation::Create(named("susan"))]);
    let reused = system.commit(shorter).await.unwrap_err();

    assert!(
        repeats
            .iter()
            .all(|repeat| repeat.as_ref().unwrap() == &first)
    );
    assert_violation(&reused, "REQUEST_ID_REUSED", "request_id");
    assert_eq!(system.stored().await, before);
}

#[tokio::test]
async fn an_idempotency_record_is_valid_for_24_hours() {
    let clock = Clock::manual(noon());
    let system = System::at(clock.clone()).await;
    let id = request_id();
    let first = system.create_by(create(&id, named("susan"))).await.unwrap();

    clock.advance(DAY.checked_sub(MICROSECOND).unwrap());
    let within = system.create_by(create(&id, named("susan"))).await.unwrap();
    clock.advance(MICROSECOND);
    let afterwards = system.create_by(create(&id, named("susan"))).await;
    let another = system.create_by(create(&id, named("john"))).await.unwrap();
    let repeated = system.create_by(create(&id, named("john"))).await.unwrap();

    assert_eq!(within, first);
    assert_eq!(afterwards.unwrap_err().code(), Code::AlreadyExists);
    assert_ne!(another.id, first.id);
    assert_eq!(repeated, another);
}

#[tokio::test]
async fn a_request_is_replayed_by_the_next_process() {
    let system = System::at(Clock::manual(noon())).await;
    let id = request_id();
    let first = system.create_by(create(&id, named("susan"))).await.unwrap();

    let system = system.restart(Clock::manual(noon())).await;
    let repeated = system.create_by(create(&id, named("susan"))).await.unwrap();

    assert_eq!(repeated, first);
}

#[tokio::test]
async fn a_rejected_request_can_be_retried_with_its_id() {
    let system = System::start().await;
    let id = request_id();
    let in_the_way = system.create_user("SUSAN").await.unwrap();
    let rejected = system
        .create_by(create(&id, named("susan")))
        .await
        .unwrap_err();
    system.delete(delete(in_the_way.id)).await.unwrap();

    let created = system.create_by(create(&id, named("susan"))).await.unwrap();

    assert_refused(&rejected, Code::AlreadyExists, "NICKNAME_TAKEN");
    assert_eq!(system.get(created.id).await.unwrap(), created);
}

#[tokio::test]
async fn a_dry_run_does_not_use_up_its_request_id() {
    let system = System::start().await;
    let (one, other) = (request_id(), request_id());
    let validated = CreateUserRequest {
        validate_only: true,
        ..create(&one, named("susan"))
    };
    let john = commit_by(&other, [Mutation::Create(named("john"))]);
    let validated_john = CommitUsersRequest {
        validate_only: true,
        ..john.clone()
    };
    system.create_by(validated).await.unwrap();
    system.commit(validated_john).await.unwrap();
    assert_eq!(system.stored().await, [""; 0]);

    let susan = system
        .create_by(create(&one, named("susan")))
        .await
        .unwrap();
    system.commit(john).await.unwrap();

    assert!(susan.id > 0);
    let stored = system.query("select nickname from users").await;
    assert_eq!(stored, ["susan", "john"]);
}

#[tokio::test]
async fn expired_idempotency_records_are_pruned() {
    let system = System::at(Clock::manual(noon())).await;
    let kept = create(&request_id(), named("susan"));
    system.create_by(kept).await.unwrap();
    assert_eq!(system.query(REQUESTS).await.len(), 1);

    // The service prunes at its start.
    let system = system.restart(Clock::manual(noon() + DAY)).await;

    wait_for_records(&system, &[]).await;
}

#[tokio::test]
async fn records_from_the_future_do_not_block_pruning() {
    let system = System::at(Clock::manual(noon())).await;
    // The number of records that one step of pruning reads.
    let ahead = "insert into user_requests (request_id, fingerprint, result, create_time)
        with recursive n (i) as (select 1 union all select i + 1 from n where i < 500)
        select randomblob(16), randomblob(32), '{}', 10000000000000000 from n
        returning hex(request_id)";
    let first = system.query(ahead).await;
    let kept = create(&request_id(), named("john"));
    system.create_by(kept).await.unwrap();

    let system = system.restart(Clock::manual(noon() + DAY)).await;

    wait_for_records(&system, &first).await;
}

/// Waits until exactly these idempotency keys are recorded.
async fn wait_for_records(system: &System, requests: &[String]) {
    let forgotten = async {
        while system.query(REQUESTS).await != requests {
            tokio::task::yield_now().await;
        }
    };
    support::within_timeout(forgotten).await;
}
