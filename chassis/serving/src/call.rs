//! The path of a call through the server, around its handler.
//!
//! A single tower service replaces seven layers, so that a call costs one boxed future and one body. The
//! steps, from the outside to the inside:
//!
//! 1. the request id, which all later steps log or return;
//! 2. the access log entry, which records the response that the client gets;
//! 3. error details for the statuses of the gRPC library;
//! 4. panics, which become `INTERNAL` for their call only;
//! 5. admission: rejects requests that are not gRPC or come too early;
//! 6. the limits of memory and of running calls, which the bodies enforce;
//! 7. the deadline;
//! 8. the body of a response that the handler has encoded already.

use std::{
    convert::Infallible,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    thread,
};

use bytes::Bytes;
use futures::{FutureExt, future::Either};
use http::{Request, Response};
use tokio::time::Instant;
use tonic::{Status, body::Body, server::NamedService, service::Routes};

use self::{
    access_log::AccessLogEntry, body::GrpcResponseBody, guards::CallGuards, methods::MethodInfo,
    panics::panic_status, request_body::RequestBody, request_kind::RequestMeta,
    server_context::ServerContext,
};
use crate::{
    budget::MemoryLimit,
    call_context::CallContext,
    health::Phase,
    length_prefixed,
    limiter::Overloaded,
    request_id::RequestId,
    status::{self, Metadata},
};

mod access_log;
pub(crate) mod body;
mod deadline;
mod decoded_size;
mod guards;
mod library_status;
mod message_types;
pub(crate) mod methods;
mod panics;
mod refusal_log;
pub(crate) mod request_body;
pub(crate) mod request_kind;
pub(crate) mod server_context;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The server of a service that tonic generates around its handlers.
pub trait Handlers:
    tower::Service<
        Request<Body>,
        Response = Response<Body>,
        Error = Infallible,
        Future: Future<Output = Result<Response<Body>, Infallible>> + Send,
    > + NamedService
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Handlers for S where
    S: tower::Service<
            Request<Body>,
            Response = Response<Body>,
            Error = Infallible,
            Future: Future<Output = Result<Response<Body>, Infallible>> + Send,
        > + NamedService
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// The tower service that handles every call of a server.
#[derive(Clone, Debug)]
pub(crate) struct CallService<S> {
    pub(crate) server: Arc<ServerContext>,
    /// The handlers of the service itself.
    pub(crate) handlers: S,
    /// The handlers of the admin services, health and reflection.
    pub(crate) admin_routes: Routes,
}

impl<S: Handlers> CallService<S> {
    /// Returns the response to a request.
    pub(crate) fn respond<B>(
        &self,
        request: Request<B>,
        meta: RequestMeta,
    ) -> impl Future<Output = Response<GrpcResponseBody>> + Send + use<S, B>
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
    {
        let server = Arc::clone(&self.server);
        let method = server.methods.info(request.uri().path());
        let request = request.map(|body| match &meta.call {
            Ok(call) => {
                let (call, server) = (Arc::clone(call), Arc::clone(&server));
                Body::new(RequestBody::new(body, call, server, method))
            }
            Err(MemoryLimit) => Body::empty(),
        });
        let now = Instant::now();
        let guards = CallGuards::new(&server, method, now, request.headers());
        let context = CallContext {
            id: RequestId::from_headers(request.headers()),
            deadline: guards.as_ref().ok().and_then(|guards| guards.deadline),
        };
        let entry = AccessLogEntry::new(
            request.uri().path_and_query().cloned(),
            context.id.clone(),
            now.into_std(),
            (!method.server_streaming).then_some(server.slow_call_threshold),
        );
        let target = if method.admin {
            Target::Admin(self.admin_routes.clone())
        } else {
            Target::Service(self.handlers.clone())
        };

        context.clone().scope(async move {
            let mut guards = guards;
            let response = match server.reject_unsupported(&meta) {
                Some(response) => response,
                None => match &mut guards {
                    Ok(guards) => {
                        let admitted = admit(&server, method, &meta, now, guards);
                        match admitted.and_then(|()| target.start(request, &server, &entry)) {
                            Ok(handled) => {
                                let handled = pin!(AssertUnwindSafe(handled).catch_unwind());
                                let response = drive_handler(&server, handled, guards, &entry);
                                response.await.unwrap_or_else(Status::into_http)
                            }
                            Err(status) => status.into_http(),
                        }
                    }
                    Err(status) => status.clone().into_http(),
                },
            };
            let mut guards = guards.unwrap_or_default();
            guards.call = meta.call.ok();
            if let Some(call) = &guards.call {
                // Otherwise a client could take all places by not reading its responses.
                call.leave_place();
                // Streams are not tracked: they may be pending forever.
                if !method.server_streaming {
                    call.track_response();
                }
            }
            into_response(response, server, method, context, entry, guards)
        })
    }
}

/// A call for the gRPC-Web layer, which passes the request alone.
#[derive(Debug)]
pub(crate) struct CallWithMeta<S> {
    pub(crate) calls: CallService<S>,
    pub(crate) meta: RequestMeta,
}

impl<S: Handlers> tower::Service<Request<Body>> for CallWithMeta<S> {
    type Response = Response<GrpcResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Servers that tonic generates are always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.calls.respond(request, self.meta.clone()).map(Ok))
    }
}

/// The handlers that a call is routed to.
enum Target<S> {
    Service(S),
    Admin(Routes),
}

impl<S: Handlers> Target<S> {
    /// Calls [`Target::handle`], and turns a panic before the first poll into a status.
    fn start(
        self,
        request: Request<Body>,
        server: &ServerContext,
        entry: &AccessLogEntry,
    ) -> Result<impl Future<Output = Response<Body>> + Send + use<S>, Status> {
        catch_unwind(AssertUnwindSafe(|| self.handle(request)))
            .map_err(|panic| panic_status(panic.as_ref(), entry.path(), server.domain))
    }

    /// Calls the handler.
    ///
    /// An `async fn` would hold the request a second time in its future. That future is moved as a
    /// whole, so its size costs time in every call.
    fn handle(
        self,
        request: Request<Body>,
    ) -> impl Future<Output = Response<Body>> + Send + use<S> {
        let handled = match self {
            Self::Service(mut handlers) => Either::Left(handlers.call(request)),
            Self::Admin(mut routes) => {
                Either::Right(Box::pin(tower::Service::call(&mut routes, request)))
            }
        };
        handled.map(|handled| match handled {
            Ok(response) => length_prefixed::use_encoded_body(response),
            Err(never) => match never {},
        })
    }
}

/// Drives the handler until it returns its response. Fails if the handler panics, the deadline
/// passes, or the server ends the call.
async fn drive_handler(
    server: &ServerContext,
    mut handled: Pin<&mut impl Future<Output = thread::Result<Response<Body>>>>,
    guards: &mut CallGuards,
    entry: &AccessLogEntry,
) -> Result<Response<Body>, Status> {
    // Admission has checked the deadline just before the first poll.
    let mut deadline_checked = true;
    std::future::poll_fn(|cx| {
        if !std::mem::take(&mut deadline_checked) && guards.is_over() {
            return Poll::Ready(Err(deadline::exceeded(server.domain)));
        }
        match handled.as_mut().poll(cx) {
            Poll::Ready(Ok(response)) => return Poll::Ready(Ok(response)),
            Poll::Ready(Err(panic)) => {
                let status = panic_status(panic.as_ref(), entry.path(), server.domain);
                return Poll::Ready(Err(status));
            }
            Poll::Pending => {}
        }
        if guards.poll_deadline(cx).is_ready() {
            return Poll::Ready(Err(deadline::exceeded(server.domain)));
        }
        guards.poll_stop(cx).map(Err)
    })
    .await
}

/// Admits a call, or rejects it: if too many bytes are buffered, its deadline has passed, its
/// connection is in the reserve, the server is not ready, or the database is not the one that was
/// opened. Admin calls are exempt from the last three.
fn admit(
    server: &ServerContext,
    method: MethodInfo,
    meta: &RequestMeta,
    now: Instant,
    guards: &CallGuards,
) -> Result<(), Status> {
    let call = meta
        .call
        .as_ref()
        .map_err(|MemoryLimit| status::memory_limit(server.domain))?;
    if guards.is_over_at(now) {
        return Err(deadline::exceeded(server.domain));
    }
    if method.admin {
        return Ok(());
    }
    call.leave_reserve().map_err(|Overloaded| {
        status::overloaded(
            server.domain,
            "the limit of connections is reached; try again later",
        )
    })?;
    if *server.state.phase.borrow() == Phase::Starting {
        return Err(status::unavailable(
            server.domain,
            "NOT_READY",
            "the database does not exist yet or is not migrated yet; try again",
            Metadata::new(),
        ));
    }
    if !*server.state.available.borrow() {
        return Err(status::rejected_until_restored(server.domain));
    }
    Ok(())
}

/// Completes the response: adds the request id, adds error details if it failed, and wraps the body,
/// which finishes the call.
fn into_response(
    mut response: Response<Body>,
    server: Arc<ServerContext>,
    method: MethodInfo,
    context: CallContext,
    mut entry: AccessLogEntry,
    guards: CallGuards,
) -> Response<GrpcResponseBody> {
    let headers = response.headers_mut();
    entry.response_started();
    if let Some(code) = library_status::normalize(headers, &server.call_info(entry.path(), method))
    {
        entry.finish(code, headers, &server.refusals);
    }
    context.id.insert_into(headers);
    response.map(|inner| GrpcResponseBody::new(inner, server, method, context, entry, guards))
}
