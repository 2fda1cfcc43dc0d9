//! The kinds of requests: gRPC, gRPC-Web, CORS preflights, and what is rejected.

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE, ORIGIN, X_CONTENT_TYPE_OPTIONS},
};
use tonic::{Code, Status, body::Body};

use crate::{
    stall::StallDetector,
    status::{self, Metadata},
};

/// The content types of gRPC-Web: messages as they are, and in base64 for clients that
/// cannot read bytes.
const WEB: [&str; 4] = [
    "application/grpc-web",
    "application/grpc-web+proto",
    "application/grpc-web-text",
    "application/grpc-web-text+proto",
];

/// The protocol that a request speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RequestKind {
    /// gRPC, which is over HTTP/2.
    #[default]
    Grpc,
    /// gRPC-Web.
    GrpcWeb,
    /// The question of a browser whether a page may call by gRPC-Web.
    CorsPreflight,
    /// Something else over HTTP/2, which is refused as gRPC refuses it.
    OtherHttp2,
    /// Something else over HTTP/1.1.
    OtherHttp1,
}

impl RequestKind {
    /// Classifies a request.
    pub(crate) fn classify<B>(request: &Request<B>) -> Self {
        let headers = request.headers();
        let http2 = request.version() == Version::HTTP_2;
        // Asked first: it is what nearly all are.
        if http2 && is_grpc(headers) {
            Self::Grpc
        } else if request.method() == Method::POST
            && headers.get(CONTENT_TYPE).is_some_and(is_web_type)
        {
            Self::GrpcWeb
        } else if request.method() == Method::OPTIONS
            && headers.contains_key(ORIGIN)
            && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
        {
            Self::CorsPreflight
        } else if http2 {
            Self::OtherHttp2
        } else {
            Self::OtherHttp1
        }
    }
}

/// What is known of a request that its head does not say.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestMeta {
    /// The detector of stalled responses of its connection.
    pub(crate) stall: StallDetector,
    /// Its kind. One of gRPC-Web is translated already.
    pub(crate) kind: RequestKind,
    /// Whether it comes from a page that may not call.
    pub(crate) refused: bool,
}

/// Whether a request is one of gRPC: `application/grpc`, with or without a format or
/// parameters.
fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.as_bytes().strip_prefix(b"application/grpc"))
        .is_some_and(|rest| matches!(rest, [] | [b'+' | b';', ..]))
}

/// Whether a media type is one of gRPC-Web.
pub(crate) fn is_web_type(value: &HeaderValue) -> bool {
    WEB.iter().any(|web| value.as_bytes() == web.as_bytes())
}

/// The answer to a request that is no gRPC. Its HTTP status is the one that the gRPC
/// protocol demands, so that clients of other kinds understand it too.
pub(crate) fn reject_non_grpc(domain: &str) -> Response<Body> {
    unsupported_media_type(
        domain,
        "this server speaks gRPC only: the content type has to be application/grpc",
    )
}

/// The same over HTTP/1.1, with words in the body for the person who asked by browser or
/// curl what there is.
pub(crate) fn reject_non_grpc_web(domain: &str, service: &str) -> Response<Body> {
    let status = unsupported_media_type(
        domain,
        "over HTTP/1.1 this server speaks gRPC-Web only: a POST whose content type is \
         application/grpc-web",
    );
    let mut response = status.map(|_| {
        Body::new(format!(
            "{service} is here. It speaks gRPC over HTTP/2, and gRPC-Web over HTTP/2 and \
             HTTP/1.1.\nThis request was neither. To learn what it offers, with the address of \
             this server:\n\n  grpcurl -plaintext ADDRESS describe {service}\n"
        ))
    });
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn unsupported_media_type(domain: &str, message: &str) -> Response<Body> {
    let status = status::with_error_info(
        domain,
        Code::InvalidArgument,
        "NOT_GRPC",
        message,
        Metadata::new(),
    );
    let mut response = Status::into_http(status);
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(method: Method, version: Version, headers: &[(&str, &str)]) -> RequestKind {
        let mut request = Request::new(());
        *request.method_mut() = method;
        *request.version_mut() = version;
        for (name, value) in headers {
            let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        RequestKind::classify(&request)
    }

    #[test]
    fn grpc_is_grpc_over_http_2_alone() {
        for content_type in ["application/grpc", "application/grpc+proto"] {
            let headers = [("content-type", content_type)];

            assert_eq!(
                kind(Method::POST, Version::HTTP_2, &headers),
                RequestKind::Grpc
            );
            assert_eq!(
                kind(Method::POST, Version::HTTP_11, &headers),
                RequestKind::OtherHttp1
            );
        }
    }

    #[test]
    fn grpc_web_is_grpc_web_over_any_http() {
        for content_type in WEB {
            let headers = [("content-type", content_type)];

            assert_eq!(
                kind(Method::POST, Version::HTTP_11, &headers),
                RequestKind::GrpcWeb
            );
            assert_eq!(
                kind(Method::POST, Version::HTTP_2, &headers),
                RequestKind::GrpcWeb
            );
            assert_eq!(
                kind(Method::GET, Version::HTTP_11, &headers),
                RequestKind::OtherHttp1
            );
        }
    }

    #[test]
    fn a_preflight_says_what_it_asks() {
        let origin = ("origin", "https://page.example");
        let asks = ("access-control-request-method", "POST");

        let preflight = kind(Method::OPTIONS, Version::HTTP_11, &[origin, asks]);
        let plain = kind(Method::OPTIONS, Version::HTTP_11, &[origin]);

        assert_eq!(
            (preflight, plain),
            (RequestKind::CorsPreflight, RequestKind::OtherHttp1)
        );
    }
}
