//! Tests that each service passes as a process: the signals that drain and end it.
//!
//! Each service compiles this module into one of its tests.

use std::{fs, net::SocketAddr};

use chassis::serving::health::v1::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};
use tonic::Streaming;

use crate::{
    PROGRAM,
    process::{Process, TestDir, connect, within_timeout},
    service::{command, health, start},
};

/// The signals that drain a service.
const SIGNALS: [&str; 4] = ["HUP", "INT", "QUIT", "TERM"];

/// Opens a health stream, and returns it after its first response.
async fn open_stream(address: SocketAddr) -> Streaming<HealthCheckResponse> {
    let mut client = HealthClient::new(connect(address));
    let watch = client.watch(HealthCheckRequest::default()).await;
    let mut watch = watch.unwrap().into_inner();
    let first = watch.message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);
    watch
}

#[tokio::test]
async fn each_signal_drains_open_streams_and_leaves_no_wal() {
    for signal in SIGNALS {
        let dir = TestDir::migrated().await;
        let mut service = start(&dir);
        let mut watch = open_stream(service.serving().await).await;

        service.signal(signal);
        let next = within_timeout(watch.message()).await.unwrap().unwrap();
        let run = service.end().await;

        assert_eq!(next.status(), ServingStatus::NotServing, "{signal}");
        assert_eq!(run.code, Some(0), "{signal}: {run:?}");
        let mut files: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|file| file.unwrap().file_name())
            .collect();
        files.sort();
        assert_eq!(files, ["microblog.db"], "{signal}");
        assert_eq!(dir.query("pragma integrity_check").await, ["ok"]);
    }
}

/// Starts a service that drains until a second signal, after the signal `first`.
async fn draining(dir: &TestDir, first: &str) -> (Process, Streaming<HealthCheckResponse>) {
    let mut command = command(dir, &[]);
    command.env("DRAIN_DELAY", "1h");
    let mut service = Process::start(command);
    let watch = open_stream(service.serving().await).await;
    service.signal(first);
    service.wait_for_line("draining").await;
    (service, watch)
}

#[tokio::test]
async fn second_signal_ends_the_service_immediately() {
    for (first, second, code) in [
        ("HUP", "INT", 130),
        ("TERM", "QUIT", 131),
        ("TERM", "TERM", 143),
    ] {
        let dir = TestDir::migrated().await;
        let (service, _watch) = draining(&dir, first).await;

        service.signal(second);

        assert_eq!(service.end().await.code, Some(code), "{first}, {second}");
    }
}

#[tokio::test]
async fn a_closed_terminal_drains_though_it_hangs_up_twice() {
    let dir = TestDir::migrated().await;
    let (mut service, mut watch) = draining(&dir, "HUP").await;
    let next = within_timeout(watch.message()).await.unwrap().unwrap();

    service.signal("HUP");
    let address = service.serving().await;

    assert_eq!(next.status(), ServingStatus::NotServing);
    for _ in 0..10 {
        assert_eq!(health(address, "").await, ServingStatus::NotServing);
    }
    service.signal("TERM");
    assert_eq!(service.end().await.code, Some(143));
}

#[tokio::test]
async fn a_service_under_nohup_survives_a_hangup() {
    let dir = TestDir::migrated().await;
    let mut command = dir.command("sh", &["-c", r#"trap "" HUP; exec "$0""#, PROGRAM.path]);
    command.env("DRAIN_DELAY", "0s");
    let mut service = Process::start(command);
    let address = service.serving().await;

    service.signal("HUP");

    for _ in 0..10 {
        assert_eq!(health(address, "").await, ServingStatus::Serving);
    }
    service.signal("TERM");
    assert_eq!(service.end().await.code, Some(0));
}
