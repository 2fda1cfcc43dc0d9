//! gRPC-Web over HTTP/1.1.

use base64::{Engine, engine::general_purpose::STANDARD};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    http1::{HttpResponse, request},
    *,
};

const BINARY: &str = "application/grpc-web+proto";
const TEXT: &str = "application/grpc-web-text";

/// Returns `text` as a length-prefixed message.
fn length_prefixed(text: &str) -> Vec<u8> {
    let message = text.to_owned().encode_to_vec();
    let length = u32::try_from(message.len()).unwrap();
    [&[0][..], &length.to_be_bytes(), &message].concat()
}

impl TestServer {
    /// Sends one request on a new connection, and returns the response.
    pub(super) async fn send_http1(
        &self,
        line: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> HttpResponse {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let headers = [headers, &[("connection", "close")]].concat();
        stream
            .write_all(&request(line, &headers, body))
            .await
            .unwrap();
        let mut response = Vec::new();
        within_timeout(stream.read_to_end(&mut response))
            .await
            .unwrap();
        HttpResponse::parse(&response)
    }

    /// Calls a method by gRPC-Web.
    pub(super) async fn call_web(
        &self,
        method: &str,
        headers: &[(&str, &str)],
        text: &str,
    ) -> HttpResponse {
        let headers = [&[("content-type", BINARY)], headers].concat();
        let line = format!("POST {}", path(method));
        self.send_http1(&line, &headers, &length_prefixed(text))
            .await
    }
}

#[tokio::test]
async fn a_response_has_the_format_of_its_request() {
    let server = TestServer::start(settings()).await;
    let line = format!("POST {}", path("Echo"));

    let binary = server.call_web("Echo", &[("accept", "*/*")], "hello").await;
    let headers = [("content-type", TEXT), ("accept", "*/*")];
    let encoded = STANDARD.encode(length_prefixed("hello"));
    let mut text = server.send_http1(&line, &headers, encoded.as_bytes()).await;
    // Each chunk is encoded separately: the message, and the trailers.
    let chunks = std::mem::take(&mut text.chunks);
    text.chunks = chunks.iter().map(|c| STANDARD.decode(c).unwrap()).collect();

    assert_eq!(binary.status, 200);
    assert_eq!(binary.header("content-type"), Some(BINARY));
    assert_eq!(binary.messages(), ["hello"]);
    assert_eq!(
        text.header("content-type"),
        Some("application/grpc-web-text+proto")
    );
    assert_eq!(text.messages(), ["hello"]);
}

#[tokio::test]
async fn grpc_web_is_accepted_over_http_2() {
    let server = TestServer::start(settings()).await;
    let headers = [("content-type", BINARY)];

    let (http, response) = server
        .send_raw(&path("Echo"), &headers, &length_prefixed("x"))
        .await;

    assert_eq!(http, StatusCode::OK);
    assert_eq!(response["content-type"], BINARY);
}

#[tokio::test]
async fn a_stream_is_sent_in_chunks_and_ends_with_its_status() {
    let server = TestServer::start(settings()).await;

    let response = server
        .call_web("Follow", &[("grpc-timeout", "200m")], "")
        .await;

    assert_eq!(response.parts().0, ["first"]);
    assert_refused(
        &response.failure(),
        Code::DeadlineExceeded,
        "DEADLINE_EXCEEDED",
    );
}

#[tokio::test]
async fn pre_encoded_messages_are_sent_by_grpc_web() {
    let server = TestServer::start(settings()).await;

    let whole = server.call_web("PreEncoded", &[], "").await;
    let torn = server.call_web("PreEncodedFails", &[], "").await;

    assert_eq!(whole.messages(), ["one", "", "two", "three"]);
    assert_eq!(torn.parts().0, ["one", "", "two"]);
    assert_refused(&torn.failure(), Code::DataLoss, "DATA_LOSS");
}

#[tokio::test]
async fn a_failure_has_its_details_and_its_request_id() {
    let server = TestServer::start(settings()).await;

    let response = server
        .call_web("Panic", &[(request_id::HEADER, "order-7")], "")
        .await;

    assert_eq!(response.header(request_id::HEADER), Some("order-7"));
    assert_refused(&response.failure(), Code::Internal, "INTERNAL");
}

#[tokio::test]
async fn the_limits_of_calls_apply_to_grpc_web() {
    let server = TestServer::start(ServerSettings {
        max_concurrent_calls: NonZeroUsize::MIN,
        call_timeout: Duration::from_millis(500),
        ..settings()
    })
    .await;
    let client = server.client().await;
    let first = server.spawn_wait(&client).await;

    let too_many = server.call_web("Echo", &[], "x").await;
    let _ = within_timeout(first).await.unwrap();
    let too_late = server.call_web("Wait", &[], "").await;
    let too_large = server
        .call_web("Echo", &[], &"x".repeat(MAX_MESSAGE_BYTES))
        .await;
    let no_method = server.call_web("Missing", &[], "").await;

    assert_refused(&too_many.failure(), Code::Unavailable, "OVERLOADED");
    assert_refused(
        &too_late.failure(),
        Code::DeadlineExceeded,
        "DEADLINE_EXCEEDED",
    );
    assert_refused(
        &too_large.failure(),
        Code::ResourceExhausted,
        "MESSAGE_TOO_LARGE",
    );
    assert_refused(&no_method.failure(), Code::Unimplemented, "UNIMPLEMENTED");
}

#[tokio::test]
async fn a_body_of_invalid_base64_is_malformed() {
    let server = TestServer::start(settings()).await;
    let line = format!("POST {}", path("Echo"));

    for body in [&b"%%%%"[..], b"AAA"] {
        let response = server
            .send_http1(&line, &[("content-type", TEXT)], body)
            .await;

        let status = Status::from_header_map(&response.headers).unwrap();
        assert_refused(&status, Code::InvalidArgument, "MALFORMED_MESSAGE");
    }
}

#[tokio::test]
async fn a_browser_gets_an_explanation_of_the_server() {
    let server = TestServer::start(settings()).await;

    for (line, content_type, http_status) in [
        ("GET /", "text/html", 405),
        ("POST /", "application/json", 415),
        ("GET /test.v1.Test/Echo", BINARY, 405),
        // gRPC needs HTTP/2.
        ("POST /test.v1.Test/Echo", "application/grpc", 415),
    ] {
        let response = server
            .send_http1(line, &[("content-type", content_type)], b"")
            .await;

        assert_eq!(response.status, http_status);
        let allowed = (http_status == 405).then_some("POST");
        assert_eq!(response.header("allow"), allowed);
        assert_eq!(
            response.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        assert!(response.header(request_id::HEADER).is_some());
        let status = Status::from_header_map(&response.headers).unwrap();
        assert_refused(&status, Code::InvalidArgument, "NOT_GRPC");
        let body = String::from_utf8(response.chunks.concat()).unwrap();
        assert!(body.contains("describe test.v1.Test"), "{body}");
    }
}

#[tokio::test]
async fn one_connection_serves_several_calls() {
    let server = TestServer::start(settings()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let line = format!("POST {}", path("Echo"));

    for text in ["one", "two"] {
        let call = request(&line, &[("content-type", BINARY)], &length_prefixed(text));
        stream.write_all(&call).await.unwrap();
        let mut response = Vec::new();
        while !response.ends_with(b"0\r\n\r\n") {
            assert!(
                within_timeout(stream.read_buf(&mut response))
                    .await
                    .unwrap()
                    > 0
            );
        }

        assert_eq!(HttpResponse::parse(&response).messages(), [text]);
    }
}

#[tokio::test]
async fn a_connection_without_a_timely_request_head_is_closed() {
    let server = TestServer::start(ServerSettings {
        header_read_timeout: Duration::from_millis(50),
        ..settings()
    })
    .await;
    let call = request(
        &format!("POST {}", path("Echo")),
        &[("content-type", BINARY)],
        &length_prefixed("x"),
    );

    for sent in [&b""[..], &call[..1], &call[..call.len() / 2], &call] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(sent).await.unwrap();

        let mut response = Vec::new();
        let _ = within_timeout(stream.read_to_end(&mut response)).await;

        assert_eq!(response.starts_with(b"HTTP/1.1 200 OK"), sent == call);
    }
}

#[tokio::test]
async fn a_call_with_an_incomplete_body_ends_at_its_deadline() {
    let server = TestServer::start(ServerSettings {
        call_timeout: Duration::from_millis(50),
        ..settings()
    })
    .await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let call = request(
        &format!("POST {}", path("Echo")),
        &[("content-type", BINARY)],
        &length_prefixed("x"),
    );

    stream.write_all(&call[..call.len() - 1]).await.unwrap();
    let mut response = Vec::new();
    let _ = within_timeout(stream.read_to_end(&mut response)).await;

    let failure = HttpResponse::parse(&response).failure();
    assert_refused(&failure, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
}

#[tokio::test]
async fn a_request_head_above_the_limit_is_rejected() {
    let server = TestServer::start(settings()).await;

    let response = server
        .send_http1("GET /", &[("x-large", &"x".repeat(20_000))], b"")
        .await;

    assert_eq!(response.status, 431);
}

#[tokio::test]
async fn a_stalled_client_that_keeps_sending_is_disconnected() {
    let server = TestServer::start(ServerSettings {
        call_timeout: Duration::from_millis(200),
        max_concurrent_calls: NonZeroUsize::MIN,
        ..settings()
    })
    .await;
    let mut non_reading = TcpStream::connect(server.address).await.unwrap();
    let line = format!("POST {}", path("Large"));
    let call = request(&line, &[("content-type", BINARY)], &length_prefixed(""));

    // The client sends the next request without reading the response.
    non_reading
        .write_all(&[&call[..], &call].concat())
        .await
        .unwrap();

    within_timeout(async {
        let is_open = |sent: std::io::Result<usize>| match sent {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
        };
        while is_open(non_reading.try_write(&call)) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_drain_ends_streams_and_idle_connections() {
    let server = TestServer::start(settings()).await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    let echo = format!("POST {}", path("Echo"));
    let call = request(&echo, &[("content-type", BINARY)], &length_prefixed("x"));
    idle.write_all(&call).await.unwrap();
    let mut response = Vec::new();
    while !response.ends_with(b"0\r\n\r\n") {
        assert!(within_timeout(idle.read_buf(&mut response)).await.unwrap() > 0);
    }
    let mut follower = TcpStream::connect(server.address).await.unwrap();
    let follow = format!("POST {}", path("Follow"));
    let call = request(&follow, &[("content-type", BINARY)], &length_prefixed(""));
    follower.write_all(&call).await.unwrap();
    let mut response = Vec::new();
    while !response.windows(5).any(|five| five == b"first") {
        assert!(
            within_timeout(follower.read_buf(&mut response))
                .await
                .unwrap()
                > 0
        );
    }

    server.shutdown.cancel();
    within_timeout(follower.read_to_end(&mut response))
        .await
        .unwrap();

    let failure = HttpResponse::parse(&response).failure();
    assert_refused(&failure, Code::Unavailable, "SHUTTING_DOWN");
    assert!(server.end().await.is_ok());
    drop(idle);
}
