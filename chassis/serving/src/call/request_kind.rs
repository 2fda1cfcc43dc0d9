//! Classifies requests: gRPC, gRPC-Web, CORS preflights, and others, which are rejected here.

use std::sync::Arc;

use http::{
    HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{ACCESS_CONTROL_REQUEST_METHOD, ALLOW, CONTENT_TYPE, ORIGIN, X_CONTENT_TYPE_OPTIONS},
};
use tonic::{Code, Status, body::Body};

use crate::{
    budget::MemoryLimit,
    limiter::OpenCall,
    status::{self, Metadata},
};

/// The content types of gRPC. Other message formats, such as `application/grpc+json`, are not
/// supported.
const GRPC_TYPES: [&str; 2] = ["application/grpc", "application/grpc+proto"];

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
        let post = request.method() == Method::POST;
        let content_type = headers.get(CONTENT_TYPE);
        // gRPC is checked first, since most requests are.
        if http2 && post && content_type.is_some_and(is_grpc_type) {
            Self::Grpc
        } else if post && content_type.and_then(grpc_web_type).is_some() {
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
#[derive(Clone, Debug)]
pub(crate) struct RequestMeta {
    /// The open call, or the error of opening it.
    pub(crate) call: Result<Arc<OpenCall>, MemoryLimit>,
    /// The kind of the request. A gRPC-Web request is translated to gRPC already.
    pub(crate) kind: RequestKind,
    /// The HTTP method.
    pub(crate) method: Method,
    /// Set if the request comes from a disallowed origin.
    pub(crate) origin_rejected: bool,
}

/// Reports whether a media type is one of gRPC.
fn is_grpc_type(value: &HeaderValue) -> bool {
    find_type(value, &GRPC_TYPES).is_some()
}

/// Returns the media type of gRPC-Web that `value` is, in its usual spelling.
pub(crate) fn grpc_web_type(value: &HeaderValue) -> Option<&'static str> {
    find_type(value, &GRPC_WEB_TYPES)
}

/// Returns the media type of `types` that `value` is. Parameters and letter case do not count
/// (RFC 9110, section 8.3.1).
fn find_type(value: &HeaderValue, types: &[&'static str]) -> Option<&'static str> {
    let (essence, _parameters) = match value.as_bytes().iter().position(|byte| *byte == b';') {
        Some(end) => value.as_bytes().split_at(end),
        None => (value.as_bytes(), &[][..]),
    };
    let essence = essence.trim_ascii();
    types
        .iter()
        .copied()
        .find(|known| essence.eq_ignore_ascii_case(known.as_bytes()))
}

/// Returns the rejection of a request that is not gRPC. Its HTTP status is the one that HTTP and the
/// gRPC protocol specify, which other clients understand, too.
pub(crate) fn reject_non_grpc(domain: &str, method: &Method) -> Response<Body> {
    not_grpc(
        domain,
        method,
        "this server accepts only gRPC: a POST whose content type is application/grpc",
    )
}

/// Returns the rejection of a request over HTTP/1.1 that is not gRPC-Web. Its body is for a person
/// with a browser or curl: it names the service, and the command that describes it.
pub(crate) fn reject_non_grpc_web(domain: &str, method: &Method, service: &str) -> Response<Body> {
    let response = not_grpc(
        domain,
        method,
        "over HTTP/1.1 this server accepts only gRPC-Web: a POST whose content type is \
         application/grpc-web",
    );
    let mut response = response.map(|_| {
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

/// Returns the rejection with HTTP status 405 for another method than POST, and with 415 for another
/// content type.
fn not_grpc(domain: &str, method: &Method, message: &str) -> Response<Body> {
    let status = status::with_error_info(
        domain,
        Code::InvalidArgument,
        "NOT_GRPC",
        message,
        Metadata::new(),
    );
    let mut response = Status::into_http(status);
    if method == Method::POST {
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    } else {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        let headers = response.headers_mut();
        headers.insert(ALLOW, HeaderValue::from_static("POST"));
    }
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
    fn grpc_is_a_post_over_http_2() {
        for content_type in [
            "application/grpc",
            "application/grpc+proto",
            "Application/GRPC",
            "application/grpc; charset=utf-8",
        ] {
            let headers = [("content-type", content_type)];

            assert_eq!(
                kind(Method::POST, Version::HTTP_2, &headers),
                RequestKind::Grpc
            );
            assert_eq!(
                kind(Method::GET, Version::HTTP_2, &headers),
                RequestKind::OtherHttp2
            );
            assert_eq!(
                kind(Method::POST, Version::HTTP_11, &headers),
                RequestKind::OtherHttp1
            );
        }
    }

    #[test]
    fn grpc_web_is_accepted_over_every_http_version() {
        let spelled = [
            "Application/gRPC-Web",
            "application/grpc-web ;charset=utf-8",
            "application/grpc-web-text; a=b",
        ];
        for content_type in GRPC_WEB_TYPES.into_iter().chain(spelled) {
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
    fn other_message_formats_are_rejected() {
        for content_type in [
            "application/grpc+json",
            "application/grpcx",
            "application/grpc-web+json",
            "application/json",
            "",
        ] {
            let headers = [("content-type", content_type)];

            assert_eq!(
                kind(Method::POST, Version::HTTP_2, &headers),
                RequestKind::OtherHttp2
            );
        }
    }

    #[test]
    fn a_preflight_has_an_origin_and_a_requested_method() {
        let origin = ("origin", "https://page.example");
        let requested_method = ("access-control-request-method", "POST");

        let preflight = kind(
            Method::OPTIONS,
            Version::HTTP_11,
            &[origin, requested_method],
        );
        let plain = kind(Method::OPTIONS, Version::HTTP_11, &[origin]);

        assert_eq!(
            (preflight, plain),
            (RequestKind::CorsPreflight, RequestKind::OtherHttp1)
        );
    }
}
