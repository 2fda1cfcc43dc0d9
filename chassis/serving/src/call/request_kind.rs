//! Classifies requests: gRPC, gRPC-Web, CORS preflights, and others, which are rejected here.

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE, ORIGIN, X_CONTENT_TYPE_OPTIONS},
};
use tonic::{Code, Status, body::Body};

use crate::{
    stall::StallDetector,
    status::{self, Metadata},
};

/// The content types of gRPC-Web: binary, and base64 for clients that cannot read bytes.
const GRPC_WEB_TYPES: [&str; 4] = [
    "application/grpc-web",
    "application/grpc-web+proto",
    "application/grpc-web-text",
    "application/grpc-web-text+proto",
];

/// The protocol of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RequestKind {
    /// gRPC, over HTTP/2.
    #[default]
    Grpc,
    /// gRPC-Web, over HTTP/2 or HTTP/1.1.
    GrpcWeb,
    /// A CORS preflight: a browser asks whether a web page may call by gRPC-Web.
    CorsPreflight,
    /// Another request over HTTP/2.
    OtherHttp2,
    /// Another request over HTTP/1.1.
    OtherHttp1,
}

impl RequestKind {
    /// Classifies a request.
    pub(crate) fn classify<B>(request: &Request<B>) -> Self {
        let headers = request.headers();
        let http2 = request.version() == Version::HTTP_2;
        // gRPC is checked first, since most requests are.
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

/// Facts about a request besides its head.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestMeta {
    /// The stall detector of the connection.
    pub(crate) stall: StallDetector,
    /// The kind of the request. A gRPC-Web request is translated to gRPC already.
    pub(crate) kind: RequestKind,
    /// Whether the request comes from a disallowed origin.
    pub(crate) origin_rejected: bool,
}

/// Reports whether the content type is `application/grpc`, with or without a format or parameters.
fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.as_bytes().strip_prefix(b"application/grpc"))
        .is_some_and(|rest| matches!(rest, [] | [b'+' | b';', ..]))
}

/// Reports whether a media type is one of gRPC-Web.
pub(crate) fn is_web_type(value: &HeaderValue) -> bool {
    GRPC_WEB_TYPES
        .iter()
        .any(|known| value.as_bytes() == known.as_bytes())
}

/// Returns the rejection of a request that is not gRPC. Its HTTP status is the one that the gRPC
/// protocol specifies, which other clients understand, too.
pub(crate) fn reject_non_grpc(domain: &str) -> Response<Body> {
    unsupported_media_type(
        domain,
        "this server accepts only gRPC: the content type must be application/grpc",
    )
}

/// Returns the rejection of a request over HTTP/1.1 that is not gRPC-Web. Its body is for a person
/// with a browser or curl: it names the service, and the command that describes it.
pub(crate) fn reject_non_grpc_web(domain: &str, service: &str) -> Response<Body> {
    let status = unsupported_media_type(
        domain,
        "over HTTP/1.1 this server accepts only gRPC-Web: a POST whose content type is \
         application/grpc-web",
    );
    let mut response = status.map(|_| {
        Body::new(format!(
            "This is {service}. It accepts gRPC over HTTP/2, and gRPC-Web over HTTP/2 and \
             HTTP/1.1.\nThis request is neither. To list its methods, with the address of \
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
    fn grpc_is_accepted_over_http_2_only() {
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
    fn grpc_web_is_accepted_over_every_http_version() {
        for content_type in GRPC_WEB_TYPES {
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
    fn a_preflight_has_an_origin_and_a_requested_method() {
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
