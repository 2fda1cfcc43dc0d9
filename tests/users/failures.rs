//! Failures of whole calls: malformed messages, and a database that does not respond in time.

use std::{num::NonZeroUsize, time::Duration};

use chassis::process::clock::Clock;
use futures::future::join_all;
use tonic::{Code, Request, Status, client::Grpc, codegen::http::uri::PathAndQuery};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt;

use super::{assert_refused, named};
use crate::support::{self, System};

/// Sends `bytes` as the first field of a request to `method`.
async fn call(system: &System, method: &str, bytes: Vec<u8>) -> Status {
    let mut grpc = Grpc::new(system.users_channel());
    grpc.ready().await.unwrap();
    let path = format!("/{}/{method}", user_service::NAME);
    let path = PathAndQuery::try_from(path).unwrap();
    // On the wire, `Vec<u8>` is a message with the bytes as field 1.
    let codec = ProstCodec::<Vec<u8>, ()>::default();
    grpc.unary(Request::new(bytes), path, codec)
        .await
        .unwrap_err()
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap().reason
}

#[tokio::test]
async fn a_malformed_message_is_rejected() {
    let system = System::start().await;

    for (method, bytes) in [
        // The id has the wire type of a string.
        ("GetUser", b"1".to_vec()),
        // The message of the user is truncated.
        ("CreateUser", vec![0x12, 0x05, b'x']),
        // The nickname is not UTF-8.
        ("CreateUser", vec![0x12, 0x01, 0xff]),
        // The wire type of the tag does not exist.
        ("CreateUser", vec![0x07]),
    ] {
        let status = call(&system, method, bytes).await;

        assert_refused(&status, Code::InvalidArgument, "MALFORMED_MESSAGE");
    }
    assert_eq!(system.stored().await, [""; 0]);
}

#[tokio::test]
async fn a_message_over_the_limit_is_rejected() {
    let system = System::with(|settings| {
        settings.server.max_message_bytes = NonZeroUsize::new(1000).unwrap();
    })
    .await;

    let status = system.create(named(&"a".repeat(1000))).await.unwrap_err();

    assert_refused(&status, Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
    assert_eq!(system.stored().await, [""; 0]);
}

#[tokio::test]
async fn a_message_far_over_the_limit_is_rejected() {
    let system = System::start().await;

    let status = system
        .create(named(&"a".repeat(8 << 20)))
        .await
        .unwrap_err();

    assert_refused(&status, Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
    assert_eq!(system.stored().await, [""; 0]);
}

#[tokio::test]
async fn an_unknown_method_is_unimplemented() {
    let system = System::start().await;

    let status = call(&system, "DropUsers", vec![]).await;

    assert_refused(&status, Code::Unimplemented, "UNIMPLEMENTED");
}

#[tokio::test]
async fn a_write_fails_when_lock_timeout_expires() {
    let system = System::with(|settings| {
        settings.database.lock_timeout = Duration::from_millis(200);
    })
    .await;
    let before = system.create(named("susan")).await.unwrap();
    let lock = system.database().lock().await;

    let status = system.create(named("john")).await.unwrap_err();
    let read = system.get(before.id).await;
    lock.release().await;
    let afterwards = system.create(named("jack")).await;

    assert_refused(&status, Code::Unavailable, "DATABASE_BUSY");
    assert_eq!(read.unwrap(), before);
    assert!(afterwards.is_ok());
    let stored = system.query("select nickname from users").await;
    assert_eq!(stored, ["susan", "jack"]);
}

#[tokio::test]
async fn a_write_is_rejected_immediately_if_the_queue_is_full() {
    let system = System::with(|settings| {
        settings.database.write_queue_capacity = NonZeroUsize::new(2).unwrap();
        settings.database.max_write_batch = NonZeroUsize::MIN;
        settings.database.lock_timeout = Duration::from_millis(200);
    })
    .await;
    // Wait for the writes of the service at its start.
    system.create(named("susan")).await.unwrap();
    let before = system.stored().await;
    let lock = system.database().lock().await;

    let results = join_all((0..10).map(|n| system.create(named(&format!("user{n}"))))).await;
    drop(lock);

    let (rejected, waited): (Vec<_>, Vec<_>) = results
        .into_iter()
        .map(Result::unwrap_err)
        .partition(|status| reason(status) == "OVERLOADED");
    // The first creation is executing, and two are queued.
    assert!(rejected.len() >= 7, "{} were rejected", rejected.len());
    assert!(!waited.is_empty());
    for status in rejected {
        assert_refused(&status, Code::Unavailable, "OVERLOADED");
    }
    for status in waited {
        assert_refused(&status, Code::Unavailable, "DATABASE_BUSY");
    }
    assert_eq!(system.stored().await, before);
}

#[tokio::test]
async fn a_call_ends_when_call_timeout_expires() {
    let system = System::with(|settings| {
        settings.server.call_timeout = Duration::from_millis(100);
        settings.database.lock_timeout = Duration::from_mins(1);
    })
    .await;
    let lock = system.database().lock().await;

    let status = support::within_timeout(system.create(named("susan")))
        .await
        .unwrap_err();

    assert_refused(&status, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    lock.release().await;
    // A system executes its queue before it stops, except writes whose callers have left.
    let system = system.restart(Clock::system()).await;
    assert_eq!(system.stored().await, [""; 0]);
}
