//! Runs the real programs as processes on one database: crashes, full disks, replaced files, frozen
//! processes and concurrent writers.
//!
//! The programs must be next to the one of this crate in the target directory: `cargo test
//! --workspace` builds them all.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper that fails is a failed test"
)]

#[path = "../support/namespace.rs"]
mod namespace;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/refusal.rs"]
#[expect(dead_code, reason = "violations are for other tests")]
mod refusal;

mod cargo_run;
mod concurrent_writers;
mod crash;
mod disk;
mod files;
mod frozen;
mod load;
mod memory;
mod memory_after_burst;
mod rejected_requests;
mod request_bytes;

mod settings;
mod spelling;

mod stored_responses;
mod upgrades;

use std::{collections::HashSet, net::SocketAddr, path::PathBuf};

use process::{Process, TestDir, connect};
use proto::{
    post::v1::{CreatePostRequest, Post, post_service_client::PostServiceClient},
    user::v1::{CreateUserRequest, User, user_service_client::UserServiceClient},
};
use tonic::{Status, transport::Channel};

/// Returns the path of a program of the workspace.
fn program(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_microblog")).with_file_name(name);
    assert!(
        path.exists(),
        "no {}: run `cargo test --workspace`, which builds it",
        path.display()
    );
    path
}

/// Starts a user service on the database of `dir`.
fn user_service(dir: &TestDir) -> Process {
    Process::start(dir.command(program("user-service"), &[]))
}

/// Starts a post service with these environment variables. It calls the user service at `users`.
fn post_service(dir: &TestDir, users: SocketAddr, variables: &[(&str, &str)]) -> Process {
    let mut command = dir.command(program("post-service"), &[]);
    command
        .env("USER_SERVICE_URL", format!("http://{users}"))
        .envs(variables.iter().copied());
    Process::start(command)
}

fn users_at(address: SocketAddr) -> UserServiceClient<Channel> {
    UserServiceClient::new(connect(address))
}

fn posts_at(address: SocketAddr) -> PostServiceClient<Channel> {
    PostServiceClient::new(connect(address))
}

/// Creates a user whose email address contains the nickname.
async fn create_user(
    users: &mut UserServiceClient<Channel>,
    nickname: &str,
) -> Result<User, Status> {
    let request = CreateUserRequest {
        user: Some(User {
            nickname: nickname.into(),
            email: format!("{nickname}@example.com"),
            ..User::default()
        }),
        ..CreateUserRequest::default()
    };
    let response = users.create_user(request).await?;
    Ok(response.into_inner().user.unwrap())
}

/// Creates a post.
async fn create_post(
    posts: &mut PostServiceClient<Channel>,
    author_id: i64,
    body: &str,
) -> Result<Post, Status> {
    let request = CreatePostRequest {
        post: Some(Post {
            author_id,
            body: body.into(),
            ..Post::default()
        }),
        ..CreatePostRequest::default()
    };
    let response = posts.create_post(request).await?;
    Ok(response.into_inner().post.unwrap())
}

/// Asserts that the table holds each of these rows, given by id and text.
async fn assert_stored(dir: &TestDir, table: &str, column: &str, acknowledged: &[(i64, String)]) {
    let query = format!("select id || ' ' || {column} from {table}");
    let stored: HashSet<_> = dir.query(&query).await.into_iter().collect();
    let lost: Vec<_> = acknowledged
        .iter()
        .map(|(id, text)| format!("{id} {text}"))
        .filter(|row| !stored.contains(row))
        .collect();
    assert!(lost.is_empty(), "acknowledged but not stored: {lost:?}");
}

/// Asserts that the database file passes SQLite's integrity check and has no dangling foreign keys.
async fn assert_sound(dir: &TestDir) {
    assert_eq!(dir.query("pragma integrity_check").await, ["ok"]);
    let orphans = dir
        .query("select \"table\" from pragma_foreign_key_check")
        .await;
    assert_eq!(orphans, [""; 0]);
}
