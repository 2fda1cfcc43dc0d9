//! CORS: decides which web pages may call by gRPC-Web, and what they may send and read.
//!
//! A browser sends the origin of the page as `Origin`. A call from a disallowed origin does not run
//! at all: the CORS protocol alone would only keep its response from the page. The server's own
//! origin is not exempt, since an attacker can give a page that name. A request without an origin
//! does not come from a web page, and may call.

use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ORIGIN, VARY,
    },
};
use tonic::{Code, Status, body::Body};

use crate::{
    settings::AllowedOrigins,
    status::{self, Metadata},
};

/// The response headers that a web page may read: the status of a call without a body, and the
/// request id.
const EXPOSE_HEADERS: HeaderValue =
    HeaderValue::from_static("grpc-status, grpc-message, grpc-status-details-bin, x-request-id");

/// The request headers that a web page may send, besides those that CORS always allows.
const ALLOW_HEADERS: HeaderValue =
    HeaderValue::from_static("content-type, grpc-timeout, x-grpc-web, x-request-id, x-user-agent");

/// The time that a browser caches the response to a preflight, in seconds: 2 hours, the maximum of
/// Chromium.
const PREFLIGHT_AGE: HeaderValue = HeaderValue::from_static("7200");

/// The origin of a request, checked against the allowed ones.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The request has no origin: it does not come from a web page.
    Absent,
    /// Every origin is allowed.
    Wildcard,
    /// The origin is among the allowed ones.
    Allowed(HeaderValue),
    /// The origin is not allowed.
    Rejected(HeaderValue),
}

impl Origin {
    /// Reads the origin from the headers of a request, and checks it.
    pub(crate) fn from_headers(headers: &HeaderMap, allowed: &AllowedOrigins) -> Self {
        match headers.get(ORIGIN) {
            None => Self::Absent,
            Some(_) if *allowed == AllowedOrigins::Any => Self::Wildcard,
            Some(origin) if allowed.allows(origin.as_bytes()) => Self::Allowed(origin.clone()),
            Some(origin) => Self::Rejected(origin.clone()),
        }
    }

    /// Adds the headers by which the browser gives the response to the page.
    pub(crate) fn add_cors_headers(&self, headers: &mut HeaderMap) {
        // A cache must not serve the response for one origin to another.
        const VARIES: HeaderValue = HeaderValue::from_static("origin");
        let mut add = |name: HeaderName, value: HeaderValue| headers.insert(name, value);
        match self {
            Self::Absent | Self::Rejected(_) => add(VARY, VARIES),
            Self::Wildcard => add(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
            Self::Allowed(origin) => {
                add(VARY, VARIES);
                add(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone())
            }
        };
        if matches!(self, Self::Wildcard | Self::Allowed(_)) {
            add(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSE_HEADERS);
        }
    }
}

/// Returns the response to a CORS preflight.
pub(crate) fn preflight(origin: &Origin) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    if let Origin::Rejected(origin) = origin {
        tracing::info!(?origin, "CORS preflight rejected");
        *response.status_mut() = StatusCode::FORBIDDEN;
        return response;
    }
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("POST"),
    );
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, ALLOW_HEADERS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE);
    response
}

/// Returns the rejection of a call from a disallowed origin.
pub(crate) fn origin_not_allowed(domain: &str) -> Response<Body> {
    let mut response = Status::into_http(status::with_error_info(
        domain,
        Code::PermissionDenied,
        "ORIGIN_NOT_ALLOWED",
        "web pages of this origin may not call this server; CORS_ALLOWED_ORIGINS lists the origins that may",
        Metadata::new(),
    ));
    *response.status_mut() = StatusCode::FORBIDDEN;
    response
}
