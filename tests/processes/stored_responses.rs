//! The limit on the responses that are stored for request ids, which processes share.

use proto::user::v1::{CreateUserRequest, User};
use tonic::{Code, Status};

use crate::{
    process::{Process, TestDir, within_timeout},
    program, refusal, users_at,
};

/// Starts a user service that stores few responses.
fn limited_service(dir: &TestDir) -> Process {
    let mut command = dir.command(program("user-service"), &[]);
    command.env("MAX_STORED_RESPONSE_BYTES", "2000");
    Process::start(command)
}

/// Creates the user number `n`, with a request id.
async fn create(service: &mut Process, n: u32) -> Result<User, Status> {
    let request = CreateUserRequest {
        user: Some(User {
            nickname: format!("user{n}"),
            email: format!("user{n}@example.com"),
            ..User::default()
        }),
        request_id: format!("3f1c9a52-7d0e-4c4b-9b1e-2f6a8d5c{n:04}"),
        ..CreateUserRequest::default()
    };
    let mut users = users_at(service.serving().await);
    let response = within_timeout(users.create_user(request)).await?;
    Ok(response.into_inner().user.unwrap())
}

#[track_caller]
fn assert_full(created: Result<User, Status>) {
    let status = created.unwrap_err();
    let reason = "REQUEST_ID_STORAGE_FULL";
    refusal::assert_refused(
        "microblog.user.v1",
        &status,
        Code::ResourceExhausted,
        reason,
    );
}

#[tokio::test]
async fn the_limit_of_stored_responses_outlives_crashes() {
    let dir = TestDir::migrated().await;
    let (mut one, mut other) = (limited_service(&dir), limited_service(&dir));
    let mut users = Vec::new();
    // Two processes take turns.
    while users.len() < 100 {
        let n = u32::try_from(users.len()).unwrap();
        let service = if n % 2 == 0 { &mut one } else { &mut other };
        match create(service, n).await {
            Ok(user) => users.push(user),
            Err(_) => break,
        }
    }

    for n in 0..10 {
        assert_full(create(&mut one, 1000 + n).await);
        assert_full(create(&mut other, 1000 + n).await);
    }
    one.signal("KILL");
    one.end().await;
    let mut one = limited_service(&dir);

    assert_full(create(&mut one, 1000).await);
    for (n, user) in (0..).zip(&users) {
        assert_eq!(&create(&mut one, n).await.unwrap(), user);
        assert_eq!(&create(&mut other, n).await.unwrap(), user);
    }
    let full = "the limit of stored responses is reached";
    let lines = other.stdout_lines();
    let lines = lines.iter().filter(|line| line.contains(full));
    assert_eq!(lines.count(), 1, "{other:?}");
}
