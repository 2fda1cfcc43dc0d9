//! The limit on the responses that are stored for request ids.

use std::time::Duration;

use chassis::process::clock::Clock;
use chrono::DateTime;
use futures::{future::join_all, join};
use proto::user::v1::{CommitUsersRequest, CreateUserRequest, User, user_mutation::Mutation};
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use super::{assert_refused, commit, named};
use crate::support::{self, System};

const DAY: Duration = Duration::from_hours(24);

/// Selects the bytes of the stored responses, as the limit counts them.
const STORED_BYTES: &str = "select cast(coalesce(sum(octet_length(result) + 128), 0) as text) \
    from user_requests";

fn create(user: User) -> CreateUserRequest {
    CreateUserRequest {
        user: Some(user),
        request_id: Uuid::new_v4().to_string(),
        validate_only: false,
    }
}

async fn limited(max_bytes: u64) -> System {
    System::with(|settings| settings.database.max_stored_response_bytes = max_bytes).await
}

async fn stored_bytes(system: &System) -> u64 {
    system.query(STORED_BYTES).await[0].parse().unwrap()
}

#[track_caller]
fn assert_full(status: &Status) {
    assert_refused(status, Code::ResourceExhausted, "REQUEST_ID_STORAGE_FULL");
    let delay = status.get_details_retry_info().unwrap().retry_delay;
    let delay = delay.unwrap();
    assert!(delay > Duration::ZERO && delay <= DAY, "{delay:?}");
}

/// Creates users with new request ids until one is refused. Returns the requests and the users.
async fn fill(system: &System) -> Vec<(CreateUserRequest, User)> {
    let mut created = Vec::new();
    for n in 0..100 {
        let request = create(named(&format!("user{n}")));
        match system.create_by(request.clone()).await {
            Ok(user) => created.push((request, user)),
            Err(status) => {
                assert_full(&status);
                return created;
            }
        }
    }
    panic!("none of {} new request ids was refused", created.len());
}

#[tokio::test]
async fn a_new_request_id_is_refused_at_the_limit() {
    let system = limited(2_000).await;
    let created = fill(&system).await;
    let before = system.stored().await;

    let creation = create(named("susan"));
    let validation = CreateUserRequest {
        validate_only: true,
        ..create(named("susan"))
    };
    let commitment = CommitUsersRequest {
        request_id: Uuid::new_v4().to_string(),
        ..commit([Mutation::Create(named("susan"))])
    };
    let validated_commitment = CommitUsersRequest {
        validate_only: true,
        ..commitment.clone()
    };
    let refused = [
        system.create_by(creation).await.unwrap_err(),
        system.create_by(validation).await.unwrap_err(),
        system.commit(commitment).await.unwrap_err(),
        system.commit(validated_commitment).await.unwrap_err(),
    ];

    refused.iter().for_each(assert_full);
    assert_eq!(system.stored().await, before);
    let stored = stored_bytes(&system).await;
    assert!(created.len() > 3 && stored <= 2_000, "{stored} bytes");
}

#[tokio::test]
async fn replays_and_calls_without_an_id_succeed_at_the_limit() {
    let system = limited(2_000).await;
    let created = fill(&system).await;

    for (request, user) in created {
        assert_eq!(system.create_by(request).await.unwrap(), user);
    }
    system.create(named("susan")).await.unwrap();
    let john = commit([Mutation::Create(named("john"))]);
    system.commit(john).await.unwrap();

    let stored = system.query("select nickname from users").await;
    assert!(stored.ends_with(&["susan".to_owned(), "john".to_owned()]));
}

#[tokio::test]
async fn concurrent_creations_are_refused_beyond_the_limit_only() {
    let system = limited(4_000).await;
    let keyed: Vec<_> = (0..64)
        .map(|n| create(named(&format!("keyed{n}"))))
        .collect();

    let with_id = keyed
        .iter()
        .map(|request| system.create_by(request.clone()));
    let without = (0..16).map(|n| format!("free{n}"));
    let without = without.map(async |nickname| system.create(named(&nickname)).await);
    let (with_id, without) = join!(join_all(with_id), join_all(without));

    let (created, refused): (Vec<_>, Vec<_>) = with_id.into_iter().partition(Result::is_ok);
    for result in &refused {
        assert_full(result.as_ref().unwrap_err());
    }
    assert!(without.iter().all(Result::is_ok));
    let users = system.query("select nickname from users").await;
    assert_eq!(users.len(), created.len() + without.len());
    let stored = stored_bytes(&system).await;
    assert!(stored <= 4_000 && stored > 3_500, "{stored} bytes");
}

#[tokio::test]
async fn validated_requests_take_no_room() {
    let system = limited(2_000).await;
    let validated = CreateUserRequest {
        validate_only: true,
        ..create(named("susan"))
    };

    let validations = (0..50).map(|_| system.create_by(validated.clone()));
    let results = join_all(validations).await;

    assert!(results.iter().all(Result::is_ok));
    assert_eq!(stored_bytes(&system).await, 0);
    fill(&system).await;
}

#[tokio::test]
async fn records_of_other_processes_count_towards_the_limit() {
    let system = limited(2_000).await;
    system.create_by(create(named("susan"))).await.unwrap();
    let elsewhere = "insert into user_requests (request_id, fingerprint, result, create_time)
        values (randomblob(16), randomblob(32), printf('%.*c', 1500, 'x'), 1800000000000000)
        returning hex(request_id)";
    system.query(elsewhere).await;

    let status = system.create_by(create(named("john"))).await.unwrap_err();

    assert_full(&status);
}

#[tokio::test]
async fn room_returns_only_when_records_are_24_hours_old() {
    let noon = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let system = limited(2_000).await.restart(Clock::manual(noon)).await;
    let (request, user) = fill(&system).await.swap_remove(0);

    let almost = noon + DAY - Duration::from_micros(1);
    let system = system.restart(Clock::manual(almost)).await;
    let refused = system.create_by(create(named("susan"))).await.unwrap_err();
    let replayed = system.create_by(request).await.unwrap();
    // The service prunes at its start.
    let system = system.restart(Clock::manual(noon + DAY)).await;
    let accepted = async {
        while system.create_by(create(named("susan"))).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    support::within_timeout(accepted).await;

    assert_full(&refused);
    assert_eq!(replayed, user);
}
