//! The path of a call through the server, around the handler that does its work.
//!
//! One service does what would otherwise be seven layers: each step is plain code in one
//! function, whose order can be read, and a call pays for one boxed future and one body.
//! From the outside to the inside:
//!
//! 1. the request id, since all that follows may log or answer with it;
//! 2. the line in the log, which tells what the client gets;
//! 3. the details of failures that the gRPC library made;
//! 4. panics, which become `INTERNAL` for the call that panicked and no other;
//! 5. what is refused: requests that are no gRPC, too early, or too many;
//! 6. the deadline;
//! 7. the body of a response whose messages the handler has encoded already.

use std::{
    convert::Infallible,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    thread,
};

use futures::{FutureExt, future::Either};
use http::{Request, Response};
use tokio::time::Instant;
use tonic::{Status, body::Body, server::NamedService, service::Routes};

use self::{
    access_log::AccessLogEntry, body::GrpcResponseBody, guards::CallGuards, methods::MethodInfo,
    panics::panic_status, request_kind::RequestMeta, server_context::ServerContext,
};
use crate::{
    call_context::CallContext,
    health::Phase,
    length_prefixed,
    request_id::RequestId,
    status::{self, Metadata},
};

mod access_log;
pub(crate) mod body;
mod deadline;
mod guards;
mod library_status;
pub(crate) mod methods;
mod panics;
pub(crate) mod request_kind;
pub(crate) mod server_context;

/// The handlers of a service, as tonic generates their server.
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

/// The calls of a server.
#[derive(Clone, Debug)]
pub(crate) struct CallService<S> {
    pub(crate) server: Arc<ServerContext>,
    /// Those of the service itself.
    pub(crate) handlers: S,
    /// Those that are there for operators.
    pub(crate) admin_routes: Routes,
}

impl<S: Handlers> CallService<S> {
    /// Returns the response to a request.
    pub(crate) fn respond(
        &self,
        request: Request<Body>,
        meta: RequestMeta,
    ) -> impl Future<Output = Response<GrpcResponseBody>> + Send + use<S> {
        let server = Arc::clone(&self.server);
        let method = server.methods.info(request.uri().path());
        let now = Instant::now();
        let guards = CallGuards::begin(&server, method, now, request.headers());
        let current = CallContext {
            id: RequestId::from_headers(request.headers()),
            deadline: guards.as_ref().ok().and_then(|guards| guards.deadline),
        };
        let entry = AccessLogEntry::new(
            request.uri().path_and_query().cloned(),
            current.id.clone(),
            now.into_std(),
            (!method.server_streaming).then_some(server.slow_call_threshold),
        );
        let target = if method.admin {
            Target::Admin(self.admin_routes.clone())
        } else {
            Target::Service(self.handlers.clone())
        };

        current.clone().scope(async move {
            let mut guards = guards;
            let response = match server.reject_unsupported(&meta) {
                Some(response) => response,
                None => match &mut guards {
                    Ok(guards) => {
                        let admitted = admit(&server, method, now, guards);
                        match admitted.and_then(|()| target.begin(request, &server, &entry)) {
                            Ok(handled) => {
                                let handled = pin!(AssertUnwindSafe(handled).catch_unwind());
                                let response = drive_handler(&server, handled, guards, &entry);
                                response.await.unwrap_or_else(Status::into_http)
                            }
                            Err(refused) => refused.into_http(),
                        }
                    }
                    Err(refused) => refused.clone().into_http(),
                },
            };
            let mut guards = guards.unwrap_or_default();
            if !method.server_streaming {
                guards.pending_response = Some(meta.stall.track_response());
            }
            into_response(response, server, current, entry, guards)
        })
    }
}

/// For what translates other protocols into gRPC: what it knows of the request is among the
/// extensions.
impl<S: Handlers> tower::Service<Request<Body>> for CallService<S> {
    type Response = Response<GrpcResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Handlers are always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let meta = request.extensions_mut().remove().unwrap_or_default();
        Box::pin(self.respond(request, meta).map(Ok))
    }
}

/// The handlers that a call goes to.
enum Target<S> {
    Service(S),
    Admin(Routes),
}

impl<S: Handlers> Target<S> {
    /// Calls the handler as [`Target::handle`] does, and turns a panic in it into a status.
    fn begin(
        self,
        request: Request<Body>,
        server: &ServerContext,
        entry: &AccessLogEntry,
    ) -> Result<impl Future<Output = Response<Body>> + Send + use<S>, Status> {
        catch_unwind(AssertUnwindSafe(|| self.handle(request)))
            .map_err(|panic| panic_status(panic.as_ref(), entry.path(), server.domain))
    }

    /// Returns the response. An `async fn` would keep the request as well as hand it on, and
    /// the future of a call, which is moved around as a whole, would be larger.
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

/// Polls the handler for its response, and returns the failure of the call in its stead if it
/// panics, its deadline is over, or it has to end.
async fn drive_handler(
    server: &ServerContext,
    mut handled: Pin<&mut impl Future<Output = thread::Result<Response<Body>>>>,
    guards: &mut CallGuards,
    entry: &AccessLogEntry,
) -> Result<Response<Body>, Status> {
    // It was asked a moment ago, when the call was admitted.
    let mut asked = true;
    std::future::poll_fn(|cx| {
        if !std::mem::take(&mut asked) && guards.is_over() {
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
        guards
            .poll_stop(cx)
            .map(|()| Err(status::shutting_down(server.domain)))
    })
    .await
}

/// Refuses what is not to reach a handler, and counts what is.
fn admit(
    server: &ServerContext,
    method: MethodInfo,
    now: Instant,
    guards: &mut CallGuards,
) -> Result<(), Status> {
    if guards.is_over_at(now) {
        return Err(deadline::exceeded(server.domain));
    }
    if method.admin {
        return Ok(());
    }
    if *server.phase.borrow() == Phase::Starting {
        return Err(status::unavailable(
            server.domain,
            "NOT_READY",
            "the database does not exist yet or is not migrated yet; try again",
            Metadata::new(),
        ));
    }
    if !method.server_streaming {
        let permit = Arc::clone(&server.in_flight).try_acquire_owned();
        guards.permit = Some(permit.map_err(|_| {
            status::unavailable(
                server.domain,
                "OVERLOADED",
                "more calls run than this server does at once; try again a little later",
                Metadata::new(),
            )
        })?);
    }
    Ok(())
}

/// Returns what the client gets of `response`: with its request id, its details if it failed,
/// and a body that ends the call.
fn into_response(
    mut response: Response<Body>,
    server: Arc<ServerContext>,
    current: CallContext,
    mut entry: AccessLogEntry,
    guards: CallGuards,
) -> Response<GrpcResponseBody> {
    let headers = response.headers_mut();
    entry.response_started();
    if let Some(code) = library_status::normalize(headers, &server.call_info(entry.path())) {
        entry.finish(code, headers);
    }
    current.id.insert_into(headers);
    response.map(|inner| GrpcResponseBody::new(inner, server, current, entry, guards))
}
