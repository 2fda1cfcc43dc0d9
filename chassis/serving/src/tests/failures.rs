//! Failures outside of handlers: each has its code, its error details and one log line.

use super::{log::Log, *};

#[tokio::test]
async fn a_panic_fails_only_its_call_with_internal() {
    let server = TestServer::start(settings()).await;
    let client = server.client().await;
    let other = server.spawn_wait(&client).await;

    let status = client.call("Panic", "").await.unwrap_err();
    let next = client.call("Echo", "x").await;
    server.handlers.done.cancel();

    assert_refused(&status, Code::Internal, "INTERNAL");
    let id = status
        .metadata()
        .get(request_id::HEADER)
        .unwrap()
        .to_str()
        .unwrap();
    assert!(status.message().contains(id), "{}", status.message());
    assert!(!status.message().contains("deliberate"));
    assert_eq!(next.unwrap(), "x");
    assert_eq!(within_timeout(other).await.unwrap().unwrap(), "done");
}

#[tokio::test]
async fn a_panic_before_the_first_poll_fails_only_its_call() {
    let server = TestServer::start(settings()).await;
    let client = server.client().await;

    let status = client.call("PanicAtOnce", "").await.unwrap_err();

    assert_refused(&status, Code::Internal, "INTERNAL");
    assert_eq!(client.call("Echo", "x").await.unwrap(), "x");
}

#[tokio::test]
async fn a_panic_in_a_stream_ends_it_with_internal() {
    let server = TestServer::start(settings()).await;
    let client = server.client().await;
    let mut stream = client.stream("PanicInStream", None).await;

    let first = within_timeout(stream.message()).await.unwrap();
    let status = within_timeout(stream.message()).await.unwrap_err();

    assert_eq!(first.as_deref(), Some("first"));
    assert_refused(&status, Code::Internal, "INTERNAL");
    assert_eq!(client.call("Echo", "x").await.unwrap(), "x");
}

#[tokio::test]
async fn an_unknown_method_is_unimplemented() {
    let server = TestServer::start(settings()).await;
    let client = server.client().await;

    for path in [
        "/test.v1.Test/Missing",
        "/missing.v1.X/Y",
        "/grpc.health.v1.Health/Missing",
    ] {
        let request = tonic::Request::new(String::new());
        let status = client.send(path, request).await.unwrap_err();

        assert_refused(&status, Code::Unimplemented, "UNIMPLEMENTED");
        assert!(status.message().contains(path), "{}", status.message());
    }
}

#[tokio::test]
async fn a_message_above_the_limit_is_rejected_with_the_limit() {
    let server = TestServer::start(settings()).await;
    let client = server.client().await;
    let large = "x".repeat(MAX_MESSAGE_BYTES);

    for path in [path("Echo"), "/grpc.health.v1.Health/Check".to_owned()] {
        let status = client
            .send(&path, tonic::Request::new(large.clone()))
            .await
            .unwrap_err();

        assert_refused(&status, Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
        assert!(
            status.message().contains("1000 bytes"),
            "{}",
            status.message()
        );
    }
}

#[tokio::test]
async fn a_message_of_another_type_is_malformed() {
    let server = TestServer::start(settings()).await;

    let number = tonic::Request::new(7_u64);
    let status = server
        .client()
        .await
        .send(&path("Echo"), number)
        .await
        .unwrap_err();

    assert_refused(&status, Code::InvalidArgument, "MALFORMED_MESSAGE");
}

#[tokio::test]
async fn invalid_bytes_are_a_malformed_message() {
    let server = TestServer::start(settings()).await;

    let nothing = [];
    let cut_off = [0, 0, 0, 0, 9, 1];
    let unknown_flag = [7, 0, 0, 0, 0];
    let compressed_with_nothing = [1, 0, 0, 0, 0];
    for body in [
        &nothing[..],
        &cut_off,
        &unknown_flag,
        &compressed_with_nothing,
    ] {
        let status = server.send_raw_call(&path("Echo"), &[], body).await;

        assert_refused(&status, Code::InvalidArgument, "MALFORMED_MESSAGE");
    }
}

#[tokio::test]
async fn an_unsupported_compression_is_unimplemented() {
    let server = TestServer::start(settings()).await;
    let headers = [("grpc-encoding", "gzip")];

    let status = server
        .send_raw_call(&path("Echo"), &headers, EMPTY_MESSAGE)
        .await;

    assert_refused(&status, Code::Unimplemented, "UNIMPLEMENTED");
    assert_eq!(
        status.metadata().get("grpc-accept-encoding").unwrap(),
        "identity"
    );
}

#[tokio::test]
async fn a_request_that_is_not_grpc_is_rejected_with_http_415() {
    let server = TestServer::start(settings()).await;

    for content_type in [
        "text/html",
        "application/grpcx",
        "application/grpc+json",
        "application/json",
    ] {
        let headers = [("content-type", content_type)];
        let (http, headers) = server.send_raw(&path("Echo"), &headers, b"{}").await;

        assert_eq!(http, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        let status = Status::from_header_map(&headers).unwrap();
        assert_refused(&status, Code::InvalidArgument, "NOT_GRPC");
    }
}

#[tokio::test]
async fn a_failed_call_is_logged_once_without_its_message() {
    let log = Log::default();
    let server = TestServer::start(settings()).await;
    // Registers the event with tracing before the subscriber is set: see `Log::subscriber`.
    server
        .send_raw_call(&path("Missing"), &[], EMPTY_MESSAGE)
        .await;
    let _guard = tracing::subscriber::set_default(log.subscriber());
    let headers = [(request_id::HEADER, "order-7")];

    server
        .send_raw_call(&path("Missing"), &headers, b"\0\0\0\0\x08\x0a\x06secret")
        .await;

    let lines = log.lines_with("order-7");
    let [line] = lines.as_slice() else {
        panic!("expected one line: {lines:?}");
    };
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["rpc.method"], "/test.v1.Test/Missing");
    assert_eq!(line["rpc.status_code"], "UNIMPLEMENTED");
    assert_eq!(line["reason"], "UNIMPLEMENTED");
    assert!(line["duration_ms"].is_number());
    assert!(!line.to_string().contains("secret"));
}

#[tokio::test]
async fn a_stream_that_its_client_drops_is_logged_as_cancelled() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.subscriber());
    let server = TestServer::start(settings()).await;

    let mut stream = server.client().await.stream("Follow", None).await;
    within_timeout(stream.message()).await.unwrap();
    drop(stream);

    let lines = within_timeout(async {
        loop {
            let lines = log.lines_with("/Follow");
            if !lines.is_empty() {
                return lines;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(lines[0]["level"], "DEBUG");
    assert_eq!(lines[0]["rpc.status_code"], "CANCELLED");
}
