//! The binary of the post service, as a process.

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

use chassis::serving::health::v1::health_check_response::ServingStatus;
use process::{Process, TestDir, connect, run, within_timeout};
use proto::post::v1::{
    GetPostRequest, WatchPostsRequest, author::State, post_service_client::PostServiceClient,
};
use service::{Program, health};
use tonic::Code;

/// The binary under test.
const PROGRAM: Program = Program {
    path: env!("CARGO_BIN_EXE_post-service"),
    name: post_service::NAME,
    listen: "POST_SERVICE_LISTEN",
    column: ("posts", "body"),
};

/// Returns a directory whose database has one post.
async fn dir_with_a_post() -> TestDir {
    let dir = TestDir::migrated().await;
    dir.execute(
        "insert into users (nickname, nickname_key, email, email_key, role, create_time,
                update_time, revision) values ('susan', 'susan', 's@x.org', 's@x.org', 0, 0, 0, 1);
            insert into posts (body, create_time, update_time, revision, user_id)
                values ('first', 0, 0, 1, 1)",
    )
    .await;
    dir
}

#[tokio::test]
async fn an_invalid_user_service_url_is_rejected_in_one_line() {
    let dir = TestDir::migrated().await;

    for (url, says) in [
        ("nonsense", "http://127.0.0.1:50051"),
        ("https://127.0.0.1:50051", "http://127.0.0.1:50051"),
        ("http://", "--user-service-url"),
        ("", "--user-service-url"),
    ] {
        let mut command = dir.command(PROGRAM.path, &[]);
        command.env("USER_SERVICE_URL", url);
        let run = run(command).await;

        run.assert_refused(78, &[url, says]);
    }
}

#[tokio::test]
async fn user_information_in_the_user_service_url_is_rejected_unshown() {
    let dir = TestDir::migrated().await;
    let file = dir.path().join("url");

    for url in [
        "http://user:secret@127.0.0.1:50051",
        "https://secret@x/y?secret=secret",
    ] {
        std::fs::write(&file, url).unwrap();
        let mut by_variable = dir.command(PROGRAM.path, &[]);
        by_variable.env("USER_SERVICE_URL", url);
        let by_flag = dir.command(PROGRAM.path, &["--user-service-url", url]);
        let mut by_file = dir.command(PROGRAM.path, &[]);
        by_file.env("USER_SERVICE_URL_FILE", &file);

        for command in [by_variable, by_flag, by_file] {
            let run = run(command).await;

            run.assert_refused(78, &["--user-service-url", "http://127.0.0.1:50051"]);
            assert!(!format!("{run:?}").contains("secret"), "{run:?}");
        }
    }
}

#[tokio::test]
async fn the_service_serves_while_the_user_service_is_down() {
    let dir = dir_with_a_post().await;
    let mut command = dir.command(PROGRAM.path, &[]);
    // No process listens on the discard port.
    command.env("USER_SERVICE_URL", "http://127.0.0.1:9");
    let mut service = Process::start(command);
    let address = service.serving().await;

    let request = GetPostRequest {
        id: 1,
        ..GetPostRequest::default()
    };
    let response = within_timeout(PostServiceClient::new(connect(address)).get_post(request)).await;

    let post = response.unwrap().into_inner().post.unwrap();
    assert_eq!(post.body, "first");
    assert_eq!(post.author.unwrap().state(), State::Unavailable);
    let now = health(address, PROGRAM.name).await;
    assert_eq!(now, ServingStatus::Serving);
}

#[tokio::test]
async fn a_watcher_gets_unavailable_after_sigterm() {
    let dir = dir_with_a_post().await;
    let mut service = Process::start(dir.command(PROGRAM.path, &[]));
    let request = WatchPostsRequest {
        after_id: Some(0),
        ..WatchPostsRequest::default()
    };
    let mut client = PostServiceClient::new(connect(service.serving().await));
    let mut posts = client.watch_posts(request).await.unwrap().into_inner();
    let first = within_timeout(posts.message()).await.unwrap().unwrap();

    service.signal("TERM");
    let status = within_timeout(posts.message()).await.unwrap_err();
    let run = service.end().await;

    assert_eq!(first.post.unwrap().body, "first");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("shutting down"), "{status:?}");
    assert_eq!(run.code, Some(0), "{run:?}");
}
