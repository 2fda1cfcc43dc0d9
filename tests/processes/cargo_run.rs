//! Runs the whole system as one process, as `cargo run` does.

use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt, process::Command};

use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::{
    create_post, create_user, posts_at,
    process::{Process, TestDir, connect, run, within_timeout},
    users_at,
};

/// Returns the command of `cargo run` in an empty directory, with free ports.
fn command(dir: &TestDir) -> Command {
    let mut command = dir.command(env!("CARGO_BIN_EXE_microblog"), &[]);
    command.env_remove("DATABASE_URL").env_remove("LOG_FORMAT");
    command
}

/// Starts the system. Returns it with the addresses of its two services.
async fn start(dir: &TestDir) -> (Process, SocketAddr, SocketAddr) {
    let mut system = Process::start(command(dir));
    system.wait_for_line("Ctrl-C ends it.").await;
    let printed = system.stdout_lines();
    let address = |service: &str| {
        let mut addresses = printed
            .iter()
            .filter_map(|line| line.trim().strip_prefix(service));
        addresses.next().unwrap().trim().parse().unwrap()
    };
    let (users, posts) = (address("UserService"), address("PostService"));
    (system, users, posts)
}

#[tokio::test]
async fn system_creates_its_database_and_serves() {
    let dir = TestDir::new();

    let (_system, users, posts) = start(&dir).await;

    let susan = ready(async || create_user(&mut users_at(users), "susan").await).await;
    let post = ready(async || create_post(&mut posts_at(posts), susan.id, "hello").await).await;
    assert_eq!(post.author.unwrap().nickname, "susan");
    let database = dir.path().join("data/microblog.db");
    let mode = fs::metadata(database).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");
}

/// Retries a call while it fails with UNAVAILABLE, as clients do.
async fn ready<T>(call: impl AsyncFn() -> Result<T, tonic::Status>) -> T {
    within_timeout(async {
        loop {
            match call().await {
                Err(status) if status.code() == tonic::Code::Unavailable => {}
                result => return result.unwrap(),
            }
        }
    })
    .await
}

#[tokio::test]
async fn an_unread_standard_output_stops_neither_calls_nor_signals() {
    let dir = TestDir::new();
    // A full pipe that only its writer could read.
    let script = r#"mkfifo full && exec 3<>full
        dd if=/dev/zero of=full bs=4096 oflag=nonblock 2>/dev/null
        exec "$0" 2>&1 >&3"#;
    let mut command = dir.command("sh", &["-c", script, env!("CARGO_BIN_EXE_microblog")]);
    command.env_remove("DATABASE_URL").env_remove("LOG_FORMAT");

    let mut system = Process::start(command);
    let line = system.wait_for_line("microblog.user.v1.UserService").await;
    let (_, address) = line.split_once("address=").unwrap();
    let address = address.split_whitespace().next().unwrap().parse().unwrap();
    ready(async || create_user(&mut users_at(address), "susan").await).await;
    system.signal("TERM");

    assert_eq!(system.end().await.code, Some(0));
}

#[tokio::test]
async fn system_prints_its_addresses_and_example_calls() {
    let dir = TestDir::new();

    let (system, users, posts) = start(&dir).await;

    let printed = system.stdout_lines();
    assert!(
        printed[0].ends_with("sqlite:data/microblog.db"),
        "{printed:?}"
    );
    let printed = printed.join("\n").replace("\\\n", "");
    let commands: Vec<_> = printed
        .lines()
        .filter_map(|line| line.trim().strip_prefix("grpcurl -plaintext "))
        .collect();
    assert!(commands.len() >= 3, "{printed}");
    for command in commands {
        assert!(
            command.contains(&users.to_string()) || command.contains(&posts.to_string()),
            "{command}"
        );
        let symbol = command.split_whitespace().last().unwrap();
        assert!(symbols().contains(&symbol.to_owned()), "no {symbol}");
    }
}

#[tokio::test]
async fn readme_shows_the_printed_text() {
    let dir = TestDir::new();
    let (system, users, posts) = start(&dir).await;
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = fs::read_to_string(readme).unwrap();

    let printed = system.stdout_lines().join("\n");
    // The default ports.
    let printed = printed.replace(&users.to_string(), "127.0.0.1:50051");
    let printed = printed.replace(&posts.to_string(), "127.0.0.1:50052");

    assert!(
        readme.contains(&format!("```text\n{printed}\n```")),
        "{printed}"
    );
}

/// Returns the full names of the services and of their methods.
fn symbols() -> Vec<String> {
    let mut symbols = Vec::new();
    for set in [
        proto::user::v1::FILE_DESCRIPTOR_SET,
        proto::post::v1::FILE_DESCRIPTOR_SET,
    ] {
        for file in FileDescriptorSet::decode(set).unwrap().file {
            for service in &file.service {
                let name = format!("{}.{}", file.package(), service.name());
                symbols.extend(
                    service
                        .method
                        .iter()
                        .map(|m| format!("{name}/{}", m.name())),
                );
                symbols.push(name);
            }
        }
    }
    symbols
}

#[tokio::test]
async fn ctrl_c_ends_the_system_and_removes_wal_files() {
    let dir = TestDir::new();
    let (system, users, _) = start(&dir).await;
    ready(async || create_user(&mut users_at(users), "susan").await).await;

    system.signal("INT");
    let run = system.end().await;

    assert_eq!(run.code, Some(0), "{run:?}");
    let mut left: Vec<_> = fs::read_dir(dir.path().join("data"))
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["microblog.db"]);
}

#[tokio::test]
async fn written_data_survives_a_restart() {
    let dir = TestDir::new();
    let (system, users, _) = start(&dir).await;
    let susan = ready(async || create_user(&mut users_at(users), "susan").await).await;
    system.signal("TERM");
    system.end().await;

    let (_again, _, posts) = start(&dir).await;

    let post = ready(async || create_post(&mut posts_at(posts), susan.id, "hello").await).await;
    assert_eq!(post.author_id, susan.id);
}

#[tokio::test]
async fn second_system_on_the_same_port_fails_with_one_line() {
    let dir = TestDir::new();
    let (_system, users, posts) = start(&dir).await;

    for (variable, address) in [
        ("USER_SERVICE_LISTEN", users.to_string()),
        ("POST_SERVICE_LISTEN", posts.to_string()),
    ] {
        let mut command = command(&dir);
        command.env(variable, &address);
        let run = run(command).await;

        run.assert_refused(78, &[&address, "in use"]);
        assert_eq!(run.stdout, [""; 0]);
    }
}

#[tokio::test]
async fn foreign_database_is_rejected_with_one_line() {
    let dir = TestDir::new();
    dir.execute("create table notes (id)").await;
    let mut command = command(&dir);
    command.env("DATABASE_URL", "sqlite:microblog.db");

    let run = run(command).await;

    run.assert_refused(78, &["is not a database of the microblog"]);
}

/// Sends a server reflection request.
async fn reflect(address: SocketAddr, message: MessageRequest) -> MessageResponse {
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(message),
    };
    let stream = futures::stream::iter([request]);
    let mut client = ServerReflectionClient::new(connect(address));
    let response = within_timeout(client.server_reflection_info(stream)).await;
    let mut responses = response.unwrap().into_inner();
    let response = within_timeout(responses.message()).await.unwrap().unwrap();
    response.message_response.unwrap()
}

#[tokio::test]
async fn reflection_returns_each_contract_with_its_comments() {
    let dir = TestDir::new();
    let (_system, users, posts) = start(&dir).await;

    for (address, name, package) in [
        (users, user_service::NAME, "microblog.user.v1"),
        (posts, post_service::NAME, "microblog.post.v1"),
    ] {
        let listed = reflect(address, MessageRequest::ListServices(String::new())).await;
        let described = reflect(address, MessageRequest::FileContainingSymbol(name.into())).await;

        let MessageResponse::ListServicesResponse(listed) = listed else {
            panic!("{listed:?}");
        };
        let ours = listed
            .service
            .iter()
            .filter(|s| s.name.starts_with("microblog."));
        assert_eq!(ours.map(|s| s.name.as_str()).collect::<Vec<_>>(), [name]);
        let MessageResponse::FileDescriptorResponse(described) = described else {
            panic!("{described:?}");
        };
        let file = described.file_descriptor_proto[0].as_slice();
        let file = FileDescriptorProto::decode(file).unwrap();
        assert_eq!(file.package(), package);
        // The path of the first service in its file.
        let comment = file.source_code_info.unwrap().location;
        let comment = comment
            .iter()
            .find(|location| location.path == [6, 0])
            .unwrap();
        assert!(comment.leading_comments().contains("ErrorInfo"));
    }
}
