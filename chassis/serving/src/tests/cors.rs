//! CORS: which web pages may call by gRPC-Web.

use super::*;
use crate::settings::AllowedOrigins;

const PAGE: &str = "https://page.example";

/// Starts a server that only pages of [`PAGE`] may call.
async fn server_for_page() -> TestServer {
    TestServer::start(ServerSettings {
        cors_allowed_origins: PAGE.parse().unwrap(),
        ..settings()
    })
    .await
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_call() {
    let server = server_for_page().await;

    let response = server.call_web("Echo", &[("origin", PAGE)], "x").await;

    assert_eq!(response.messages(), ["x"]);
    assert_eq!(response.header("access-control-allow-origin"), Some(PAGE));
    assert_eq!(response.header("vary"), Some("origin"));
    assert_eq!(
        response.header("access-control-expose-headers"),
        Some("grpc-status, grpc-message, grpc-status-details-bin, x-request-id")
    );
}

#[tokio::test]
async fn a_call_from_a_disallowed_origin_does_not_run() {
    let (strict, listed) = (TestServer::start(settings()).await, server_for_page().await);

    // The server's own origin is rejected, too: an attacker can give a page that name.
    for (server, origin) in [
        (&strict, "http://test"),
        (&strict, PAGE),
        (&listed, "http://page.example"),
        (&listed, "null"),
    ] {
        let response = server.call_web("Wait", &[("origin", origin)], "").await;

        assert_eq!(response.status, 403);
        assert_eq!(response.header("access-control-allow-origin"), None);
        assert_refused(
            &response.failure(),
            Code::PermissionDenied,
            "ORIGIN_NOT_ALLOWED",
        );
        assert_eq!(server.handlers.waiting.available_permits(), 0);
    }
}

#[tokio::test]
async fn a_wildcard_allows_every_origin() {
    let server = TestServer::start(ServerSettings {
        cors_allowed_origins: AllowedOrigins::Any,
        ..settings()
    })
    .await;

    let response = server.call_web("Echo", &[("origin", "null")], "x").await;

    assert_eq!(response.messages(), ["x"]);
    assert_eq!(response.header("access-control-allow-origin"), Some("*"));
}

#[tokio::test]
async fn a_preflight_lists_the_allowed_headers() {
    let server = server_for_page().await;
    let line = format!("OPTIONS {}", path("Echo"));
    let requested_method = ("access-control-request-method", "POST");

    let known = server
        .send_http1(&line, &[requested_method, ("origin", PAGE)], b"")
        .await;
    let foreign = server
        .send_http1(
            &line,
            &[requested_method, ("origin", "https://evil.example")],
            b"",
        )
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
