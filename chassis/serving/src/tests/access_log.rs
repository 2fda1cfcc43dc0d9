//! The access log: every call leaves one entry, however it ends.

use super::{log::Log, *};

/// A call over HTTP/2 and its end: path, additional headers, body, code and reason.
type Case = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static [u8],
    &'static str,
    Option<&'static str>,
);

const ENDS: [Case; 15] = [
    ("/test.v1.Test/Echo", &[], EMPTY_MESSAGE, "OK", None),
    (
        "/test.v1.Test/Missing",
        &[],
        EMPTY_MESSAGE,
        "UNIMPLEMENTED",
        Some("UNIMPLEMENTED"),
    ),
    (
        "/test.v1.Test/Echo",
        &[],
        b"",
        "INVALID_ARGUMENT",
        Some("MALFORMED_MESSAGE"),
    ),
    (
        "/test.v1.Test/Panic",
        &[],
        EMPTY_MESSAGE,
        "INTERNAL",
        Some("INTERNAL"),
    ),
    (
        "/test.v1.Test/PanicAtOnce",
        &[],
        EMPTY_MESSAGE,
        "INTERNAL",
        Some("INTERNAL"),
    ),
    (
        "/test.v1.Test/Wait",
        &[("grpc-timeout", "20m")],
        EMPTY_MESSAGE,
        "DEADLINE_EXCEEDED",
        Some("DEADLINE_EXCEEDED"),
    ),
    (
        "/test.v1.Test/Echo",
        &[("grpc-timeout", "0S")],
        EMPTY_MESSAGE,
        "DEADLINE_EXCEEDED",
        Some("DEADLINE_EXCEEDED"),
    ),
    (
        "/test.v1.Test/Echo",
        &[("grpc-timeout", "soon")],
        EMPTY_MESSAGE,
        "INVALID_ARGUMENT",
        Some("INVALID_TIMEOUT"),
    ),
    ("/test.v1.Test/PreEncoded", &[], EMPTY_MESSAGE, "OK", None),
    (
        "/test.v1.Test/PreEncodedFails",
        &[],
        EMPTY_MESSAGE,
        "DATA_LOSS",
        Some("DATA_LOSS"),
    ),
    (
        "/test.v1.Test/PanicInStream",
        &[],
        EMPTY_MESSAGE,
        "INTERNAL",
        Some("INTERNAL"),
    ),
    (
        "/test.v1.Test/Follow",
        &[("grpc-timeout", "20m")],
        EMPTY_MESSAGE,
        "DEADLINE_EXCEEDED",
        Some("DEADLINE_EXCEEDED"),
    ),
    (
        "/grpc.health.v1.Health/Check",
        &[],
        EMPTY_MESSAGE,
        "OK",
        None,
    ),
    (
        "/grpc.health.v1.Health/Missing",
        &[],
        EMPTY_MESSAGE,
        "UNIMPLEMENTED",
        Some("UNIMPLEMENTED"),
    ),
    (
        "/test.v1.Test/Echo",
        &[("content-type", "text/html")],
        b"{}",
        "INVALID_ARGUMENT",
        Some("NOT_GRPC"),
    ),
];

impl Log {
    /// Waits for the entry whose `field` is `value`, and asserts that it is the only one.
    async fn entry(&self, field: &str, value: &str) -> serde_json::Value {
        let mut entries = within_timeout(async {
            loop {
                let mut lines = self.lines_with(value);
                lines.retain(|line| line["message"] == "call finished" && line[field] == value);
                if !lines.is_empty() {
                    return lines;
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(entries.len(), 1, "not one entry: {entries:?}");
        entries.remove(0)
    }

    /// Asserts that the call with this request id left one entry, with these fields.
    async fn assert_entry(&self, id: &str, method: &str, code: &str, reason: Option<&str>) {
        let entry = self.entry("request_id", id).await;
        assert_eq!(entry["rpc.method"], method);
        assert_eq!(entry["rpc.status_code"], code, "{method}");
        assert_eq!(entry["reason"].as_str(), reason, "{method}");
        assert!(entry["duration_ms"].as_f64().unwrap() >= 0.0);
    }
}

/// Returns the headers of a gRPC request with a request id, and others, which may replace the
/// content type.
fn headers<'a>(id: &'a str, others: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut headers = vec![(request_id::HEADER, id)];
    if others.iter().all(|(name, _)| *name != "content-type") {
        headers.push(("content-type", "application/grpc"));
    }
    headers.extend(others);
    headers
}

#[tokio::test]
async fn every_response_leaves_one_entry() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.subscriber());
    let server = TestServer::start(settings()).await;

    for (index, (path, others, body, code, reason)) in ENDS.into_iter().enumerate() {
        let id = format!("call-{index:02}");
        server.send_raw(path, &headers(&id, others), body).await;

        log.assert_entry(&id, path, code, reason).await;
    }
}

#[tokio::test]
async fn a_call_that_is_not_admitted_leaves_one_entry() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.subscriber());
    let mut server = TestServer::start_unready(ServerSettings {
        max_concurrent_calls: NonZeroUsize::MIN,
        ..settings()
    })
    .await;
    let echo = path("Echo");

    server
        .send_raw(&echo, &headers("too-early", &[]), EMPTY_MESSAGE)
        .await;
    server.set_ready(Ok(())).await;
    let client = server.client().await;
    let running = server.spawn_wait(&client).await;
    server
        .send_raw(&echo, &headers("too-many", &[]), EMPTY_MESSAGE)
        .await;
    running.abort();

    for (id, reason) in [("too-early", "NOT_READY"), ("too-many", "OVERLOADED")] {
        log.assert_entry(id, &echo, "UNAVAILABLE", Some(reason))
            .await;
    }
}

#[tokio::test]
async fn calls_refused_by_a_limit_are_logged_once_and_counted() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.subscriber());
    let server = TestServer::start(ServerSettings {
        max_concurrent_calls: NonZeroUsize::MIN,
        ..settings()
    })
    .await;
    let client = server.client().await;
    let running = server.spawn_wait(&client).await;

    for _ in 0..5 {
        let refused = client.call("Echo", "x").await.unwrap_err();
        assert_refused(&refused, Code::Unavailable, "OVERLOADED");
    }
    within_timeout(async {
        while log.lines_with("further calls refused").is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    running.abort();

    let counted = &log.lines_with("further calls refused")[0];
    assert_eq!(
        (&counted["level"], &counted["refused"]),
        (&"WARN".into(), &4.into())
    );
    let mut refused = log.lines_with("OVERLOADED");
    refused.retain(|line| line["message"] == "call finished");
    let levels: Vec<_> = refused.iter().map(|line| &line["level"]).collect();
    assert_eq!(levels, ["WARN", "DEBUG", "DEBUG", "DEBUG", "DEBUG"]);
}

#[tokio::test]
async fn a_call_that_its_client_cancels_leaves_one_entry() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.subscriber());
    let server = TestServer::start(settings()).await;
    let client = server.client().await;
    let mut request = tonic::Request::new(String::new());
    let id = "cancelled".parse().unwrap();
    request.metadata_mut().insert(request_id::HEADER, id);

    let call = tokio::spawn(async move { client.send(&path("Wait"), request).await });
    server.wait_started().await;
    call.abort();

    log.assert_entry("cancelled", &path("Wait"), "CANCELLED", None)
        .await;
}

#[tokio::test]
async fn a_stream_that_the_server_ends_leaves_one_entry() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.subscriber());
    let server = TestServer::start(settings()).await;

    let mut stream = server.client().await.stream("Follow", None).await;
    within_timeout(stream.message()).await.unwrap();
    server.shutdown.cancel();
    within_timeout(stream.message()).await.unwrap_err();

    let entry = log.entry("rpc.method", &path("Follow")).await;
    assert_eq!(entry["rpc.status_code"], "UNAVAILABLE");
    assert_eq!(entry["reason"], "SHUTTING_DOWN");
}

#[tokio::test]
async fn a_request_over_http_1_leaves_one_entry() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.subscriber());
    let server = TestServer::start(settings()).await;
    let origin = ("origin", "https://other.example");

    server
        .call_web("Echo", &[(request_id::HEADER, "web")], "")
        .await;
    server
        .call_web("Echo", &[(request_id::HEADER, "page"), origin], "")
        .await;
    server
        .send_http1("GET /", &[(request_id::HEADER, "browser")], b"")
        .await;

    let echo = path("Echo");
    log.assert_entry("web", &echo, "OK", None).await;
    log.assert_entry(
        "page",
        &echo,
        "PERMISSION_DENIED",
        Some("ORIGIN_NOT_ALLOWED"),
    )
    .await;
    log.assert_entry("browser", "/", "INVALID_ARGUMENT", Some("NOT_GRPC"))
        .await;
}
