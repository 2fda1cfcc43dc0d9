//! gRPC-Web, as browsers speak it: over HTTP/1.1, from pages of one origin or another.

use base64::{Engine, engine::general_purpose::STANDARD};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    http1::{Answer, request},
    *,
};
use crate::settings::AllowedOrigins;

const BINARY: &str = "application/grpc-web+proto";
const TEXT: &str = "application/grpc-web-text";
const PAGE: &str = "https://page.example";

/// A message as gRPC frames it.
fn framed(text: &str) -> Vec<u8> {
    let message = text.to_owned().encode_to_vec();
    let length = u32::try_from(message.len()).unwrap();
    [&[0][..], &length.to_be_bytes(), &message].concat()
}

impl TestServer {
    /// Sends one request on a connection of its own, and gives the answer.
    pub(super) async fn ask(&self, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let headers = [headers, &[("connection", "close")]].concat();
        stream
            .write_all(&request(line, &headers, body))
            .await
            .unwrap();
        let mut answer = Vec::new();
        soon(stream.read_to_end(&mut answer)).await.unwrap();
        Answer::parsed(&answer)
    }

    /// Calls a method by gRPC-Web.
    pub(super) async fn web(&self, method: &str, headers: &[(&str, &str)], text: &str) -> Answer {
        let headers = [&[("content-type", BINARY)], headers].concat();
        let line = format!("POST {}", path(method));
        self.ask(&line, &headers, &framed(text)).await
    }
}

/// A server that pages of [`PAGE`] may call, and no others.
async fn server_for_the_page() -> TestServer {
    TestServer::start(ServerSettings {
        cors_allowed_origins: PAGE.parse().unwrap(),
        ..settings()
    })
    .await
}

#[tokio::test]
async fn a_call_is_answered_in_the_format_that_it_came_in() {
    let server = TestServer::start(settings()).await;
    let line = format!("POST {}", path("Echo"));

    let binary = server.web("Echo", &[("accept", "*/*")], "hello").await;
    let headers = [("content-type", TEXT), ("accept", "*/*")];
    let encoded = STANDARD.encode(framed("hello"));
    let mut text = server.ask(&line, &headers, encoded.as_bytes()).await;
    // Each piece is encoded by itself: the message, and the trailers.
    let pieces = std::mem::take(&mut text.pieces);
    text.pieces = pieces.iter().map(|p| STANDARD.decode(p).unwrap()).collect();

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
async fn a_call_over_http_2_may_be_one_of_grpc_web_as_well() {
    let server = TestServer::start(settings()).await;
    let headers = [("content-type", BINARY)];

    let (http, answer) = server.raw(&path("Echo"), &headers, &framed("x")).await;

    assert_eq!(http, StatusCode::OK);
    assert_eq!(answer["content-type"], BINARY);
}

#[tokio::test]
async fn a_stream_is_sent_piece_by_piece_and_ends_with_its_status() {
    let server = TestServer::start(settings()).await;

    let answer = server.web("Follow", &[("grpc-timeout", "200m")], "").await;

    assert_eq!(answer.parts().0, ["first"]);
    assert_refused(
        &answer.failure(),
        Code::DeadlineExceeded,
        "DEADLINE_EXCEEDED",
    );
}

#[tokio::test]
async fn pieces_go_by_grpc_web_as_well() {
    let server = TestServer::start(settings()).await;

    let whole = server.web("Pieces", &[], "").await;
    let torn = server.web("PiecesThatFail", &[], "").await;

    assert_eq!(whole.messages(), ["one", "", "two", "three"]);
    assert_eq!(torn.parts().0, ["one", "", "two"]);
    assert_refused(&torn.failure(), Code::DataLoss, "DATA_LOSS");
}

#[tokio::test]
async fn a_failure_has_its_details_and_its_request_id() {
    let server = TestServer::start(settings()).await;

    let answer = server
        .web("Panic", &[(request_id::HEADER, "order-7")], "")
        .await;

    assert_eq!(answer.header(request_id::HEADER), Some("order-7"));
    assert_refused(&answer.failure(), Code::Internal, "INTERNAL");
}

#[tokio::test]
async fn the_limits_of_calls_hold() {
    let server = TestServer::start(ServerSettings {
        max_concurrent_calls: NonZeroUsize::MIN,
        call_timeout: Duration::from_millis(500),
        ..settings()
    })
    .await;
    let client = server.client().await;
    let first = server.spawn_wait(&client).await;

    let too_many = server.web("Echo", &[], "x").await;
    let _ = soon(first).await.unwrap();
    let too_late = server.web("Wait", &[], "").await;
    let too_large = server
        .web("Echo", &[], &"x".repeat(MAX_MESSAGE_BYTES))
        .await;
    let no_method = server.web("Missing", &[], "").await;

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
async fn a_body_that_is_no_base64_is_malformed() {
    let server = TestServer::start(settings()).await;
    let line = format!("POST {}", path("Echo"));

    for body in [&b"%%%%"[..], b"AAA"] {
        let answer = server.ask(&line, &[("content-type", TEXT)], body).await;

        let status = Status::from_header_map(&answer.headers).unwrap();
        assert_refused(&status, Code::InvalidArgument, "MALFORMED_MESSAGE");
    }
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_call_and_read() {
    let server = server_for_the_page().await;

    let answer = server.web("Echo", &[("origin", PAGE)], "x").await;

    assert_eq!(answer.messages(), ["x"]);
    assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE));
    assert_eq!(answer.header("vary"), Some("origin"));
    assert_eq!(
        answer.header("access-control-expose-headers"),
        Some("grpc-status, grpc-message, grpc-status-details-bin, x-request-id")
    );
}

#[tokio::test]
async fn a_page_of_another_origin_is_not_answered_and_its_call_does_not_run() {
    let (strict, listed) = (
        TestServer::start(settings()).await,
        server_for_the_page().await,
    );

    // The server's own name is another origin, too: any page can take it.
    for (server, origin) in [
        (&strict, "http://test"),
        (&strict, PAGE),
        (&listed, "http://page.example"),
        (&listed, "null"),
    ] {
        let answer = server.web("Wait", &[("origin", origin)], "").await;

        assert_eq!(answer.status, 403);
        assert_eq!(answer.header("access-control-allow-origin"), None);
        assert_refused(
            &answer.failure(),
            Code::PermissionDenied,
            "ORIGIN_NOT_ALLOWED",
        );
        assert_eq!(server.handlers.waiting.available_permits(), 0);
    }
}

#[tokio::test]
async fn a_server_for_all_answers_every_page() {
    let server = TestServer::start(ServerSettings {
        cors_allowed_origins: AllowedOrigins::Any,
        ..settings()
    })
    .await;

    let answer = server.web("Echo", &[("origin", "null")], "x").await;

    assert_eq!(answer.messages(), ["x"]);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
}

#[tokio::test]
async fn a_preflight_says_what_a_page_may_send() {
    let server = server_for_the_page().await;
    let line = format!("OPTIONS {}", path("Echo"));
    let asks = ("access-control-request-method", "POST");

    let known = server.ask(&line, &[asks, ("origin", PAGE)], b"").await;
    let foreign = server
        .ask(&line, &[asks, ("origin", "https://evil.example")], b"")
        .await;

    assert_eq!(known.status, 204);
    assert_eq!(known.header("access-control-allow-origin"), Some(PAGE));
    assert_eq!(known.header("access-control-allow-methods"), Some("POST"));
    let allowed = known.header("access-control-allow-headers").unwrap();
    for name in ["content-type", "x-grpc-web", "grpc-timeout", "x-request-id"] {
        assert!(allowed.split(", ").any(|one| one == name), "{name}");
    }
    assert_eq!(foreign.status, 403);
    assert_eq!(foreign.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn who_comes_with_a_browser_is_told_what_this_is() {
    let server = TestServer::start(settings()).await;

    for (line, content_type, http_status) in [
        ("GET /", "text/html", 405),
        ("POST /", "application/json", 415),
        ("GET /test.v1.Test/Echo", BINARY, 405),
        // Without HTTP/2 there is no gRPC.
        ("POST /test.v1.Test/Echo", "application/grpc", 415),
    ] {
        let answer = server
            .ask(line, &[("content-type", content_type)], b"")
            .await;

        assert_eq!(answer.status, http_status);
        let allowed = (http_status == 405).then_some("POST");
        assert_eq!(answer.header("allow"), allowed);
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        assert!(answer.header(request_id::HEADER).is_some());
        let status = Status::from_header_map(&answer.headers).unwrap();
        assert_refused(&status, Code::InvalidArgument, "NOT_GRPC");
        let body = String::from_utf8(answer.pieces.concat()).unwrap();
        assert!(body.contains("describe test.v1.Test"), "{body}");
    }
}

#[tokio::test]
async fn several_calls_follow_each_other_on_one_connection() {
    let server = TestServer::start(settings()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let line = format!("POST {}", path("Echo"));

    for text in ["one", "two"] {
        let call = request(&line, &[("content-type", BINARY)], &framed(text));
        stream.write_all(&call).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"0\r\n\r\n") {
            assert!(soon(stream.read_buf(&mut answer)).await.unwrap() > 0);
        }

        assert_eq!(Answer::parsed(&answer).messages(), [text]);
    }
}

#[tokio::test]
async fn a_client_that_says_nothing_half_a_head_or_nothing_more_is_cut() {
    let server = TestServer::start(ServerSettings {
        header_read_timeout: Duration::from_millis(50),
        ..settings()
    })
    .await;
    let call = request(
        &format!("POST {}", path("Echo")),
        &[("content-type", BINARY)],
        &framed("x"),
    );

    for said in [&b""[..], &call[..1], &call[..call.len() / 2], &call] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(said).await.unwrap();

        let mut answer = Vec::new();
        let _ = soon(stream.read_to_end(&mut answer)).await;

        assert_eq!(answer.starts_with(b"HTTP/1.1 200 OK"), said == call);
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_ends_its_call_at_the_deadline() {
    let server = TestServer::start(ServerSettings {
        call_timeout: Duration::from_millis(50),
        ..settings()
    })
    .await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let call = request(
        &format!("POST {}", path("Echo")),
        &[("content-type", BINARY)],
        &framed("x"),
    );

    stream.write_all(&call[..call.len() - 1]).await.unwrap();
    let mut answer = Vec::new();
    let _ = soon(stream.read_to_end(&mut answer)).await;

    let failure = Answer::parsed(&answer).failure();
    assert_refused(&failure, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let server = TestServer::start(settings()).await;

    let answer = server
        .ask("GET /", &[("x-large", &"x".repeat(20_000))], b"")
        .await;

    assert_eq!(answer.status, 431);
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_cut_though_it_goes_on_asking() {
    let server = TestServer::start(ServerSettings {
        call_timeout: Duration::from_millis(200),
        max_concurrent_calls: NonZeroUsize::MIN,
        ..settings()
    })
    .await;
    let client = server.client().await;
    let mut deaf = TcpStream::connect(server.address).await.unwrap();
    let line = format!("POST {}", path("Large"));
    let call = request(&line, &[("content-type", BINARY)], &framed(""));

    // The next request is there before the answer is read, which never is.
    deaf.write_all(&[&call[..], &call].concat()).await.unwrap();
    while client.call("Echo", "x").await.is_ok() {
        tokio::task::yield_now().await;
    }

    // Its place is free again.
    soon(async {
        while client.call("Echo", "x").await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(deaf);
}

#[tokio::test]
async fn a_drain_ends_streams_with_their_status_and_idle_connections_at_once() {
    let server = TestServer::start(settings()).await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    let echo = format!("POST {}", path("Echo"));
    let call = request(&echo, &[("content-type", BINARY)], &framed("x"));
    idle.write_all(&call).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"0\r\n\r\n") {
        assert!(soon(idle.read_buf(&mut answer)).await.unwrap() > 0);
    }
    let mut follower = TcpStream::connect(server.address).await.unwrap();
    let follow = format!("POST {}", path("Follow"));
    let call = request(&follow, &[("content-type", BINARY)], &framed(""));
    follower.write_all(&call).await.unwrap();
    let mut answer = Vec::new();
    while !answer.windows(5).any(|five| five == b"first") {
        assert!(soon(follower.read_buf(&mut answer)).await.unwrap() > 0);
    }

    server.shutdown.cancel();
    soon(follower.read_to_end(&mut answer)).await.unwrap();

    let failure = Answer::parsed(&answer).failure();
    assert_refused(&failure, Code::Unavailable, "SHUTTING_DOWN");
    assert!(server.end().await.is_ok());
    drop(idle);
}
