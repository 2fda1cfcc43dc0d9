//! The drain of a server: it ends whatever the clients do.

use tokio::io::AsyncWriteExt;

use super::*;
use crate::health::v1::{HealthCheckRequest, health_client::HealthClient};

#[tokio::test]
async fn a_drain_waits_for_running_calls() {
    let server = TestServer::start(settings()).await;
    let client = server.client().await;
    let call = server.spawn_wait(&client).await;

    server.shutdown.cancel();
    within_timeout(server.draining.cancelled()).await;
    server.handlers.done.cancel();

    assert_eq!(within_timeout(call).await.unwrap().unwrap(), "done");
    assert!(server.end().await.is_ok());
}

#[tokio::test]
async fn a_drain_ends_open_streams_and_health_watches() {
    let server = TestServer::start(settings()).await;
    let client = server.client().await;
    let mut stream = client.stream("Follow", None).await;
    let mut watch = HealthClient::new(client.0.clone())
        .watch(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner();
    stream.message().await.unwrap();
    watch.message().await.unwrap();

    server.shutdown.cancel();

    assert!(server.end().await.is_ok());
    let status = within_timeout(stream.message()).await.unwrap_err();
    assert_refused(&status, Code::Unavailable, "SHUTTING_DOWN");
}

#[tokio::test]
async fn a_drain_does_not_wait_for_unidentified_connections() {
    let server = TestServer::start(settings()).await;
    let silent = TcpStream::connect(server.address).await.unwrap();
    let mut hesitant = TcpStream::connect(server.address).await.unwrap();
    hesitant.write_all(b"PRI").await.unwrap();
    // This connection is accepted after the others, so those are accepted now.
    server.client().await.call("Echo", "x").await.unwrap();

    server.shutdown.cancel();

    assert!(server.end().await.is_ok());
    drop((silent, hesitant));
}

#[tokio::test]
async fn a_drain_aborts_running_calls_at_its_timeout() {
    let drain_timeout = Duration::from_millis(20);
    let server = TestServer::start(ServerSettings {
        drain_timeout,
        ..settings()
    })
    .await;
    let client = server.client().await;
    let call = server.spawn_wait(&client).await;

    server.shutdown.cancel();

    assert!(server.end().await.is_ok());
    assert!(within_timeout(call).await.unwrap().is_err());
}

#[tokio::test]
async fn a_draining_server_accepts_no_connection() {
    let server = TestServer::start(settings()).await;
    let client = server.client().await;
    let call = server.spawn_wait(&client).await;

    server.shutdown.cancel();
    within_timeout(server.draining.cancelled()).await;
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }

    server.handlers.done.cancel();
    assert!(within_timeout(call).await.unwrap().is_ok());
}

#[tokio::test]
async fn a_draining_server_serves_during_the_drain_delay() {
    let drain_delay = Duration::from_hours(1);
    let server = TestServer::start(ServerSettings {
        drain_delay,
        ..settings()
    })
    .await;
    let client = server.client().await;

    server.shutdown.cancel();
    while healthcheck(server.address, NAME).await.is_ok() {
        tokio::task::yield_now().await;
    }

    assert_eq!(client.call("Echo", "x").await.unwrap(), "x");
    assert!(!server.draining.is_cancelled());
    server.running.abort();
}

#[tokio::test]
async fn a_server_without_connections_skips_the_drain_delay() {
    let drain_delay = Duration::from_hours(1);
    let server = TestServer::start_unready(ServerSettings {
        drain_delay,
        ..settings()
    })
    .await;

    server.shutdown.cancel();

    assert!(server.end().await.is_ok());
}

#[tokio::test]
async fn a_database_that_never_becomes_ready_ends_the_server() {
    let mut server = TestServer::start_unready(settings()).await;
    let _client = server.client().await;

    server
        .set_ready(Err(ExitError::TempFail("not migrated".into())))
        .await;

    let failure = server.end().await.unwrap_err();
    assert!(matches!(failure, ExitError::TempFail(error) if error == "not migrated"));
}

#[tokio::test]
async fn dropping_a_server_aborts_its_connections() {
    let server = TestServer::start(settings()).await;
    let client = server.client().await;
    let call = server.spawn_wait(&client).await;

    server.running.abort();

    assert!(within_timeout(call).await.unwrap().is_err());
}
