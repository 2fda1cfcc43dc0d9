//! Tests that each service passes as a process whose log nobody reads, or whose clients choose long
//! values.
//!
//! Each service compiles this module into one of its tests.

use std::{
    io::{BufRead, BufReader, PipeReader, pipe},
    net::SocketAddr,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use chassis::serving::health::v1::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};
use serde_json::Value;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Streaming, client::Grpc};
use tonic_prost::ProstCodec;

use crate::{
    process::{Process, TestDir, connect, signal, within_timeout},
    service::{command, health},
};

/// More calls than lines fit into the queue and the pipe.
const CALLS: usize = 6_000;

/// Upper bound of an exit: two waits of 1 s for the log, on a machine that runs other tests.
const EXIT_BOUND: Duration = Duration::from_secs(10);

/// A service whose log is read up to the line `serving`.
struct Unread {
    child: Child,
    log: BufReader<PipeReader>,
    address: SocketAddr,
}

impl Unread {
    fn start(dir: &TestDir, format: &str, drain_delay: &str) -> Self {
        let (log, output) = pipe().unwrap();
        let mut command = command(dir, &[]);
        let copy = output.try_clone().unwrap();
        command
            .env("LOG_FORMAT", format)
            .env("DRAIN_DELAY", drain_delay)
            .stdout(Stdio::from(output))
            .stderr(Stdio::from(copy));
        let child = command.spawn().unwrap();
        // The command holds the write end of the pipe.
        drop(command);
        let mut log = BufReader::with_capacity(1, log);
        let mut line = String::new();
        while !line.contains("serving") {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "no line");
        }
        let (_, address) = line.split_once("127.0.0.1:").unwrap();
        let port: String = address.chars().take_while(char::is_ascii_digit).collect();
        let address = SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()));
        Self {
            child,
            log,
            address,
        }
    }

    /// Makes so many calls that the queue overflows, each of which is logged.
    async fn overflow(&self) {
        let channel = connect(self.address);
        let calls = (0..8).map(|_| {
            let mut client = HealthClient::new(channel.clone());
            tokio::spawn(async move {
                for _ in 0..CALLS / 8 {
                    let request = HealthCheckRequest {
                        service: "unknown".repeat(20),
                    };
                    let status = client.check(request).await.unwrap_err();
                    assert_eq!(status.code(), Code::NotFound);
                }
            })
        });
        for call in calls.collect::<Vec<_>>() {
            within_timeout(call).await.unwrap();
        }
    }

    async fn watch(&self) -> Streaming<HealthCheckResponse> {
        let mut client = HealthClient::new(connect(self.address));
        let watch = client.watch(HealthCheckRequest::default()).await;
        watch.unwrap().into_inner()
    }

    /// Waits for the exit, and returns its code.
    fn exit_code(&mut self) -> Option<i32> {
        let start = Instant::now();
        while start.elapsed() < EXIT_BOUND {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("still running after {EXIT_BOUND:?}");
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn calls_go_on_while_the_log_is_not_read() {
    let dir = TestDir::migrated().await;
    let mut service = Unread::start(&dir, "json", "0s");

    service.overflow().await;
    let now = health(service.address, "").await;
    signal(service.child.id(), "TERM");
    let (mut calls, mut dropped) = (0, 0);
    let mut lines = Vec::new();
    for line in (&mut service.log).lines() {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        calls += usize::from(line["message"] == "call finished");
        if line["message"].as_str().unwrap().contains("dropped") {
            dropped += usize::try_from(line["lines"].as_u64().unwrap()).unwrap();
        }
        lines.push(line["message"].to_string());
    }

    assert_eq!(now, ServingStatus::Serving);
    assert!(dropped > 0, "{calls} lines of calls");
    assert!(calls + dropped >= CALLS, "{calls} + {dropped}");
    assert_eq!(service.exit_code(), Some(0));
}

#[tokio::test]
async fn signals_end_a_service_whose_log_is_not_read() {
    for format in ["json", "text"] {
        let dir = TestDir::migrated().await;
        let mut once = Unread::start(&dir, format, "0s");
        once.overflow().await;
        let mut twice = Unread::start(&dir, format, "1h");
        twice.overflow().await;
        let mut watch = twice.watch().await;

        signal(once.child.id(), "TERM");
        signal(twice.child.id(), "TERM");
        let drains = async {
            while let Some(health) = watch.message().await.unwrap() {
                if health.status() == ServingStatus::NotServing {
                    break;
                }
            }
        };
        within_timeout(drains).await;
        signal(twice.child.id(), "TERM");

        assert_eq!(once.exit_code(), Some(0), "{format}");
        assert_eq!(twice.exit_code(), Some(143), "{format}");
    }
}

#[tokio::test]
async fn line_of_a_long_path_is_cut_and_complete() {
    let dir = TestDir::migrated().await;
    let mut command = command(&dir, &[]);
    command.env("RUST_LOG", "info,serving=debug");
    let mut service = Process::start(command);
    let address = service.serving().await;
    let path: PathAndQuery = format!("/{}/Call", "x".repeat(7_000)).parse().unwrap();

    let mut client = Grpc::new(connect(address));
    client.ready().await.unwrap();
    let codec = ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    let request = tonic::Request::new(HealthCheckRequest::default());
    let status = within_timeout(client.unary(request, path, codec))
        .await
        .unwrap_err();

    let line = service.wait_for_line("call finished").await;
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(line.len() < 2_000, "{} bytes", line.len());
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["rpc.status_code"], "UNIMPLEMENTED");
    assert!(
        line["rpc.method"]
            .as_str()
            .unwrap()
            .ends_with("… (7006 bytes)")
    );
    assert!(line["request_id"].is_string());
}
