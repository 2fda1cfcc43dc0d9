//! CORS: which pages of browsers may call, and what they may send and read.
//!
//! A page says by its `Origin` from where it was loaded. A call of an origin that is not
//! allowed does not run at all: a browser would only keep the response from the page. That
//! holds for the origin of the server itself, too, whose name an attacker's page can
//! give itself. A client that sends no origin is no page, and may call.

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

/// The headers of a response that a page may read: the status of a call that has no body, and
/// the id to report it by.
const EXPOSE_HEADERS: HeaderValue =
    HeaderValue::from_static("grpc-status, grpc-message, grpc-status-details-bin, x-request-id");

/// The headers that a page may send besides those that every page may.
const ALLOW_HEADERS: HeaderValue =
    HeaderValue::from_static("content-type, grpc-timeout, x-grpc-web, x-request-id, x-user-agent");

/// The time that a browser caches the response to a preflight, in seconds: two hours, the most
/// that Chromium takes.
const PREFLIGHT_AGE: HeaderValue = HeaderValue::from_static("7200");

/// The origin of the page that a request comes from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It comes from no page.
    Absent,
    /// From anywhere, as all may call.
    Wildcard,
    /// From an origin that may call.
    Allowed(HeaderValue),
    /// From one that may not.
    Rejected(HeaderValue),
}

impl Origin {
    pub(crate) fn from_headers(headers: &HeaderMap, allowed: &AllowedOrigins) -> Self {
        match headers.get(ORIGIN) {
            None => Self::Absent,
            Some(_) if *allowed == AllowedOrigins::Any => Self::Wildcard,
            Some(origin) if allowed.allows(origin.as_bytes()) => Self::Allowed(origin.clone()),
            Some(origin) => Self::Rejected(origin.clone()),
        }
    }

    /// Lets the browser hand the response to the page.
    pub(crate) fn add_cors_headers(&self, headers: &mut HeaderMap) {
        // What is right for one origin must not be kept for another.
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

/// Returns the response to a preflight.
pub(crate) fn preflight(origin: &Origin) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    if let Origin::Rejected(origin) = origin {
        tracing::info!(
            ?origin,
            "a page of an origin that is not allowed asked to call"
        );
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

/// Returns the rejection of a call from a page that may not call.
pub(crate) fn origin_not_allowed(domain: &str) -> Response<Body> {
    let mut response = Status::into_http(status::with_error_info(
        domain,
        Code::PermissionDenied,
        "ORIGIN_NOT_ALLOWED",
        "this server does not answer pages of this origin; CORS_ALLOWED_ORIGINS says which it answers",
        Metadata::new(),
    ));
    *response.status_mut() = StatusCode::FORBIDDEN;
    response
}
