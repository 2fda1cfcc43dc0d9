//! The binary of the user service, as a process.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

#[path = "../../tests/support/container.rs"]
mod container;
#[path = "../../tests/support/log.rs"]
mod log;
#[path = "../../tests/support/namespace.rs"]
mod namespace;
#[path = "../../tests/support/process.rs"]
mod process;
#[path = "../../tests/support/service.rs"]
mod service;
#[path = "../../tests/support/signals.rs"]
mod signals;

use process::{Process, TestDir, connect, execute, within_timeout};
use proto::user::v1::{
    CreateUserRequest, GetUserRequest, User, user_service_client::UserServiceClient,
};
use service::Program;
use tonic::Code;

/// The binary under test.
const PROGRAM: Program = Program {
    path: env!("CARGO_BIN_EXE_user-service"),
    name: user_service::NAME,
    listen: "USER_SERVICE_LISTEN",
    column: ("users", "email_key"),
};

fn susan() -> CreateUserRequest {
    CreateUserRequest {
        user: Some(User {
            nickname: "susan".into(),
            email: "susan@example.com".into(),
            ..User::default()
        }),
        ..CreateUserRequest::default()
    }
}

#[tokio::test]
async fn a_running_call_completes_after_sigterm() {
    let dir = TestDir::migrated().await;
    let mut command = dir.command(PROGRAM.path, &[]);
    command.env("DRAIN_DELAY", "0s");
    let mut service = Process::start(command);
    let address = service.serving().await;
    let mut other = dir.connection().await;
    execute(&mut other, "begin immediate").await;
    let mut client = UserServiceClient::new(connect(address));
    let mut another = client.clone();

    let (created, ()) = tokio::join!(within_timeout(client.create_user(susan())), async {
        // The server starts the calls of one connection in their order. When this call returns,
        // the call before it is running and waits for the lock.
        let request = GetUserRequest { id: 1 };
        within_timeout(another.get_user(request)).await.unwrap_err();
        service.signal("TERM");
        service.wait_for_line("draining").await;
        execute(&mut other, "rollback").await;
    });

    let user = created.unwrap().into_inner().user.unwrap();
    assert_eq!(service.end().await.code, Some(0));
    let stored = dir.query("select nickname from users").await;
    assert_eq!(stored, [user.nickname]);
}

#[tokio::test]
async fn a_write_waits_for_a_held_lock_up_to_lock_timeout() {
    let dir = TestDir::migrated().await;
    let mut command = dir.command(PROGRAM.path, &[]);
    command.env("LOCK_TIMEOUT", "100ms");
    let mut service = Process::start(command);
    let mut client = UserServiceClient::new(connect(service.serving().await));
    let mut other = dir.connection().await;
    execute(&mut other, "begin immediate").await;

    let status = within_timeout(client.create_user(susan()))
        .await
        .unwrap_err();
    execute(&mut other, "rollback").await;

    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(client.create_user(susan()).await.is_ok());
}
