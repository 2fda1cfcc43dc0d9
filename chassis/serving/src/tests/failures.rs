//! Failures that no handler meant: each has its code, its details, and its one line in
//! the log.

use super::{log::Log, *};

#[tokio::test]
async fn a_panic_is_internal_for_that_call_alone() {
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
    assert_eq!(soon(other).await.unwrap().unwrap(), "done");
}

#[tokio::test]
async fn handlers_that_panic_before_there_is_anything_to_wait_for_fail_that_call_alone() {
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

    let first = soon(stream.message()).await.unwrap();
    let status = soon(stream.message()).await.unwrap_err();

    assert_eq!(first.as_deref(), Some("first"));
    assert_refused(&status, Code::Internal, "INTERNAL");
    assert_eq!(client.call("Echo", "x").await.unwrap(), "x");
}

#[tokio::test]
async fn a_method_that_does_not_exist_is_unimplemented() {
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
async fn a_message_that_is_too_large_is_refused_with_the_limit() {
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
async fn bytes_that_are_no_message_are_malformed() {
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
        let status = server.raw_call(&path("Echo"), &[], body).await;

        assert_refused(&status, Code::InvalidArgument, "MALFORMED_MESSAGE");
    }
}

#[tokio::test]
async fn a_compression_that_is_not_supported_is_unimplemented() {
    let server = TestServer::start(settings()).await;
    let headers = [("grpc-encoding", "gzip")];

    let status = server
        .raw_call(&path("Echo"), &headers, EMPTY_MESSAGE)
        .await;

    assert_refused(&status, Code::Unimplemented, "UNIMPLEMENTED");
    assert_eq!(
        status.metadata().get("grpc-accept-encoding").unwrap(),
        "identity"
    );
}

#[tokio::test]
async fn a_request_that_is_no_grpc_is_refused_as_http_refuses_it() {
    let server = TestServer::start(settings()).await;

    for content_type in [
        "text/html",
        "application/grpcx",
        "application/grpc+json",
        "application/json",
    ] {
        let headers = [("content-type", content_type)];
        let (http, headers) = server.raw(&path("Echo"), &headers, b"{}").await;

        assert_eq!(http, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        let status = Status::from_header_map(&headers).unwrap();
        assert_refused(&status, Code::InvalidArgument, "NOT_GRPC");
    }
}

#[tokio::test]
async fn a_failed_call_leaves_one_line_without_its_contents() {
    let log = Log::default();
    let server = TestServer::start(settings()).await;
    // A line that is first written in the thread of another test, which has no log, would
    // count as one that nobody wants.
    server.raw_call(&path("Missing"), &[], EMPTY_MESSAGE).await;
    let _guard = tracing::subscriber::set_default(log.subscriber());
    let headers = [(request_id::HEADER, "order-7")];

    server
        .raw_call(&path("Missing"), &headers, b"\0\0\0\0\x08\x0a\x06secret")
        .await;

    let lines = log.lines_with("order-7");
    let [line] = lines.as_slice() else {
        panic!("not one line: {lines:?}");
    };
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["rpc.method"], "/test.v1.Test/Missing");
    assert_eq!(line["rpc.status_code"], "UNIMPLEMENTED");
    assert_eq!(line["reason"], "UNIMPLEMENTED");
    assert!(line["duration_ms"].is_number());
    assert!(!line.to_string().contains("secret"));
}

#[tokio::test]
async fn a_stream_that_its_client_drops_was_cancelled() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.subscriber());
    let server = TestServer::start(settings()).await;

    let mut stream = server.client().await.stream("Follow", None).await;
    soon(stream.message()).await.unwrap();
    drop(stream);

    let lines = soon(async {
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
