//! gRPC-Web, for the pages of browsers: the translation to gRPC and back, and which pages
//! may use it.
//!
//! A page says by its `Origin` from where it was loaded. A call of an origin that is not
//! allowed does not run at all: a browser would only keep the answer from the page. That
//! holds for the origin of the server itself, too, whose name an attacker's page can
//! give itself. Who sends no origin is no page, and may call.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::FutureExt;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode,
    header::{
        ACCEPT, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
        CONTENT_TYPE, ORIGIN, VARY,
    },
};
use http_body::Frame;
use hyper::body::Incoming;
use tonic::{Status, body::Body};
use tonic_web::GrpcWebLayer;
use tower::{Layer, Service};

use crate::{
    call::{
        Calls, Handlers,
        body::CallBody,
        request_kind::{Arrival, Way, is_web_type},
    },
    settings::WebOrigins,
    stall::Answers,
};

/// What a page may read of an answer besides its body: the status of a call that has no
/// more than that, and the id to report it by.
const EXPOSED: HeaderValue =
    HeaderValue::from_static("grpc-status, grpc-message, grpc-status-details-bin, x-request-id");

/// What a page may send besides what every page may.
const ALLOWED: HeaderValue =
    HeaderValue::from_static("content-type, grpc-timeout, x-grpc-web, x-request-id, x-user-agent");

/// How long a browser remembers the answer to a preflight, in seconds: two hours, the most
/// that Chromium takes.
const PREFLIGHT_AGE: HeaderValue = HeaderValue::from_static("7200");

/// The calls of a server, by every way.
#[derive(Clone, Debug)]
pub(crate) struct Web<S> {
    pub(crate) calls: Calls<S>,
    pub(crate) origins: Arc<WebOrigins>,
}

/// An answer that is on its way. It is boxed at once, since it is large and handed around.
pub(crate) type Answering =
    Pin<Box<dyn Future<Output = Result<Response<AnswerBody>, Infallible>> + Send>>;

impl<S: Handlers> Web<S> {
    /// The answer to a request on a connection whose answers are `answers`.
    pub(crate) fn answer(&self, mut request: Request<Incoming>, answers: Answers) -> Answering {
        let way = Way::of(&request);
        let origin = match way {
            Way::Web | Way::Preflight => Origin::of(request.headers(), &self.origins),
            Way::Grpc | Way::Foreign | Way::Other => Origin::None,
        };
        let arrival = Arrival {
            answers,
            way,
            refused: matches!(origin, Origin::Foreign(_)),
        };
        match way {
            Way::Grpc | Way::Foreign | Way::Other => {
                let answer = self.calls.answer(request.map(Body::new), arrival);
                Box::pin(answer.map(|answer| Ok(answer.map(AnswerBody::Grpc))))
            }
            Way::Preflight => Box::pin(async move {
                let mut response = preflight(&origin);
                origin.permit(response.headers_mut());
                Ok(response.map(AnswerBody::Web))
            }),
            Way::Web => {
                request.extensions_mut().insert(arrival);
                answer_alike(request.headers_mut());
                let mut calls = GrpcWebLayer::new().layer(self.calls.clone());
                Box::pin(async move {
                    let mut response = calls.call(request).await?;
                    origin.permit(response.headers_mut());
                    Ok(response.map(AnswerBody::Web))
                })
            }
        }
    }
}

/// The body of an answer, by whichever way the call came.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are the large one")]
pub(crate) enum AnswerBody {
    /// As gRPC has it.
    Grpc(CallBody),
    /// The same as gRPC-Web has it, or one that is no call's.
    Web(Body),
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.get_mut() {
            Self::Grpc(body) => Pin::new(body).poll_frame(cx),
            Self::Web(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Grpc(body) => body.is_end_stream(),
            Self::Web(body) => body.is_end_stream(),
        }
    }
}

/// Who asks for nothing else gets the format that it sends, as the protocol demands. What
/// browsers ask for by themselves is `*/*`.
fn answer_alike(headers: &mut HeaderMap) {
    if !headers.get(ACCEPT).is_some_and(is_web_type)
        && let Some(content_type) = headers.get(CONTENT_TYPE).cloned()
    {
        headers.insert(ACCEPT, content_type);
    }
}

/// The answer to a preflight.
fn preflight(origin: &Origin) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    if let Origin::Foreign(origin) = origin {
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
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED);
    headers.insert(ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE);
    response
}

/// From where the page was loaded that a request comes from.
#[derive(Debug, PartialEq, Eq)]
enum Origin {
    /// It comes from no page.
    None,
    /// From anywhere, as all may call.
    Any,
    /// From an origin that may call.
    Known(HeaderValue),
    /// From one that may not.
    Foreign(HeaderValue),
}

impl Origin {
    fn of(headers: &HeaderMap, allowed: &WebOrigins) -> Self {
        match headers.get(ORIGIN) {
            None => Self::None,
            Some(_) if *allowed == WebOrigins::Any => Self::Any,
            Some(origin) if allowed.has(origin.as_bytes()) => Self::Known(origin.clone()),
            Some(origin) => Self::Foreign(origin.clone()),
        }
    }

    /// Lets the browser hand the answer to the page.
    fn permit(&self, headers: &mut HeaderMap) {
        // What is right for one origin must not be kept for another.
        const VARIES: HeaderValue = HeaderValue::from_static("origin");
        let mut add = |name: HeaderName, value: HeaderValue| headers.insert(name, value);
        match self {
            Self::None | Self::Foreign(_) => add(VARY, VARIES),
            Self::Any => add(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
            Self::Known(origin) => {
                add(VARY, VARIES);
                add(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone())
            }
        };
        if matches!(self, Self::Any | Self::Known(_)) {
            add(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }
}
