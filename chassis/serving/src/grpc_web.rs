//! Translates gRPC-Web, which web pages use, to gRPC and back, and passes gRPC through.
//!
//! It must not know calls: both protocols go to the same [`CallService`].

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures::FutureExt;
use http::{
    HeaderMap, HeaderValue, Request, Response,
    header::{ACCEPT, CONTENT_TYPE},
};
use http_body::Frame;
use hyper::body::Incoming;
use tonic::{Status, body::Body};
use tonic_web::GrpcWebLayer;
use tower::{Layer, Service};

use crate::{
    call::{
        CallService, CallWithMeta, Handlers,
        body::GrpcResponseBody,
        request_kind::{RequestKind, RequestMeta, grpc_web_type},
    },
    cors::{Origin, preflight},
    limiter::{MeteredBytes, OpenCall, Share},
    settings::AllowedOrigins,
};

/// The service of a server for gRPC and gRPC-Web requests.
#[derive(Clone, Debug)]
pub(crate) struct GrpcWeb<S> {
    pub(crate) calls: CallService<S>,
    pub(crate) origins: Arc<AllowedOrigins>,
}

/// A future response. It is boxed, since it is large and moved often.
pub(crate) type ResponseFuture =
    Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, Infallible>> + Send>>;

impl<S: Handlers> GrpcWeb<S> {
    /// Returns the response to a request of the connection that has `share`.
    pub(crate) fn respond(
        &self,
        mut request: Request<Incoming>,
        share: &Arc<Share>,
    ) -> ResponseFuture {
        let kind = RequestKind::classify(&request);
        let origin = match kind {
            RequestKind::GrpcWeb | RequestKind::CorsPreflight => {
                Origin::from_headers(request.headers(), &self.origins)
            }
            RequestKind::Grpc | RequestKind::OtherHttp2 | RequestKind::OtherHttp1 => Origin::Absent,
        };
        let opened = OpenCall::new(share);
        let call = opened.as_ref().ok().cloned();
        let meta = RequestMeta {
            call: opened,
            kind,
            method: request.method().clone(),
            origin_rejected: matches!(origin, Origin::Rejected(_)),
        };
        match kind {
            RequestKind::Grpc | RequestKind::OtherHttp2 | RequestKind::OtherHttp1 => {
                let response = self.calls.respond(request, meta);
                Box::pin(response.map(|response| {
                    let body = |body| ResponseBody {
                        inner: ProtocolBody::Grpc(body),
                        call,
                    };
                    Ok(response.map(body))
                }))
            }
            RequestKind::CorsPreflight => Box::pin(async move {
                let mut response = preflight(&origin);
                origin.add_cors_headers(response.headers_mut());
                Ok(response.map(|body| ResponseBody {
                    inner: ProtocolBody::Web(body),
                    call,
                }))
            }),
            RequestKind::GrpcWeb => {
                spell_types(request.headers_mut());
                let calls = self.calls.clone();
                let mut calls = GrpcWebLayer::new().layer(CallWithMeta { calls, meta });
                Box::pin(async move {
                    let mut response = calls.call(request).await?;
                    origin.add_cors_headers(response.headers_mut());
                    Ok(response.map(|body| ResponseBody {
                        inner: ProtocolBody::Web(body),
                        call,
                    }))
                })
            }
        }
    }
}

/// The body of a response, in the protocol of its request. Its bytes count until they are sent.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    inner: ProtocolBody,
    /// The open call, until the last frame holds it.
    call: Option<Arc<OpenCall>>,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "most responses are the large one"
)]
enum ProtocolBody {
    /// The response to a gRPC call.
    Grpc(GrpcResponseBody),
    /// The response to a gRPC-Web call or to a CORS preflight.
    Web(Body),
}

impl http_body::Body for ResponseBody {
    type Data = MeteredBytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<MeteredBytes>, Status>>> {
        let this = self.get_mut();
        let frame = match &mut this.inner {
            ProtocolBody::Grpc(body) => ready!(Pin::new(body).poll_frame(cx)),
            ProtocolBody::Web(body) => ready!(Pin::new(body).poll_frame(cx)),
        };
        let is_last = !matches!(&frame, Some(Ok(frame)) if frame.is_data());
        let frame = frame.map(|frame| {
            frame.map(|frame| frame.map_data(|data| MeteredBytes::new(data, this.call.as_ref())))
        });
        if is_last {
            // hyper may drop this body much later.
            this.call = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            ProtocolBody::Grpc(body) => body.is_end_stream(),
            ProtocolBody::Web(body) => body.is_end_stream(),
        }
    }
}

/// Spells the media types as the translation knows them: in lower case, without parameters. `Accept`
/// is that of the request if it names a gRPC-Web type, and otherwise the content type, which is the
/// default of the protocol. Browsers send `*/*`.
fn spell_types(headers: &mut HeaderMap) {
    let spelled = |header| headers.get(header).and_then(grpc_web_type);
    let content_type = spelled(CONTENT_TYPE);
    let accept = spelled(ACCEPT).or(content_type);
    for (header, media_type) in [(CONTENT_TYPE, content_type), (ACCEPT, accept)] {
        if let Some(media_type) = media_type {
            headers.insert(header, HeaderValue::from_static(media_type));
        }
    }
}
