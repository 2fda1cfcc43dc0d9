//! The path of a call through the server, around the handler that does its work.
//!
//! One service does what would else be six layers: each step is plain code in one
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
    access_log::AccessLogEntry, body::CallBody, guards::Limits, library_status as foreign,
    methods::Kind, panics::panic_status, request_kind::Arrival, server_context::Rules,
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
pub(crate) struct Calls<S> {
    pub(crate) rules: Arc<Rules>,
    /// Those of the service itself.
    pub(crate) handlers: S,
    /// Those that are there for operators.
    pub(crate) companions: Routes,
}

impl<S: Handlers> Calls<S> {
    /// What a request is answered.
    pub(crate) fn answer(
        &self,
        request: Request<Body>,
        arrival: Arrival,
    ) -> impl Future<Output = Response<CallBody>> + Send + use<S> {
        let rules = Arc::clone(&self.rules);
        let kind = rules.methods.kind(request.uri().path());
        let now = Instant::now();
        let limits = Limits::begin(&rules, kind, now, request.headers());
        let current = CallContext {
            id: RequestId::of(request.headers()),
            deadline: limits.as_ref().ok().and_then(|limits| limits.deadline),
        };
        let entry = AccessLogEntry::new(
            request.uri().path_and_query().cloned(),
            current.id.clone(),
            now.into_std(),
            (!kind.streams).then_some(rules.slow_call),
        );
        let handlers = if kind.operational {
            Callee::Companions(self.companions.clone())
        } else {
            Callee::Own(self.handlers.clone())
        };

        current.clone().scope(async move {
            let mut limits = limits;
            let response = match rules.turned_away(&arrival) {
                Some(response) => response,
                None => match &mut limits {
                    Ok(limits) => {
                        let admitted = admit(&rules, kind, now, limits);
                        match admitted.and_then(|()| handlers.begin(request, &rules, &entry)) {
                            Ok(handled) => {
                                let handled = pin!(AssertUnwindSafe(handled).catch_unwind());
                                let answer = answer(&rules, handled, limits, &entry);
                                answer.await.unwrap_or_else(Status::into_http)
                            }
                            Err(refused) => refused.into_http(),
                        }
                    }
                    Err(refused) => refused.clone().into_http(),
                },
            };
            let mut limits = limits.unwrap_or_default();
            if !kind.streams {
                limits.answer = Some(arrival.answers.begin());
            }
            finish(response, rules, current, entry, limits)
        })
    }
}

/// For what translates other ways into this one: their arrival is among the extensions.
impl<S: Handlers> tower::Service<Request<Body>> for Calls<S> {
    type Response = Response<CallBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Handlers are always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let arrival = request.extensions_mut().remove().unwrap_or_default();
        Box::pin(self.answer(request, arrival).map(Ok))
    }
}

/// Who handles a call.
enum Callee<S> {
    Own(S),
    Companions(Routes),
}

impl<S: Handlers> Callee<S> {
    /// The same as [`Callee::handle`], with the failure that the call gets if that panics.
    fn begin(
        self,
        request: Request<Body>,
        rules: &Rules,
        entry: &AccessLogEntry,
    ) -> Result<impl Future<Output = Response<Body>> + Send + use<S>, Status> {
        catch_unwind(AssertUnwindSafe(|| self.handle(request)))
            .map_err(|panic| panic_status(panic.as_ref(), entry.path(), rules.domain))
    }

    /// The answer. It is no `async fn`, which would keep the request as well as hand it on: what
    /// a call waits in is moved around as a whole, and most calls are answered at once.
    fn handle(
        self,
        request: Request<Body>,
    ) -> impl Future<Output = Response<Body>> + Send + use<S> {
        let handled = match self {
            Self::Own(mut handlers) => Either::Left(handlers.call(request)),
            Self::Companions(mut routes) => {
                Either::Right(Box::pin(tower::Service::call(&mut routes, request)))
            }
        };
        handled.map(|handled| match handled {
            Ok(response) => length_prefixed::use_encoded_body(response),
            Err(never) => match never {},
        })
    }
}

/// The handler's answer, or the failure that the call gets in its stead.
async fn answer(
    rules: &Rules,
    mut handled: Pin<&mut impl Future<Output = thread::Result<Response<Body>>>>,
    limits: &mut Limits,
    entry: &AccessLogEntry,
) -> Result<Response<Body>, Status> {
    // It was asked a moment ago, when the call was admitted.
    let mut asked = true;
    std::future::poll_fn(|cx| {
        if !std::mem::take(&mut asked) && limits.is_over() {
            return Poll::Ready(Err(deadline::exceeded(rules.domain)));
        }
        match handled.as_mut().poll(cx) {
            Poll::Ready(Ok(response)) => return Poll::Ready(Ok(response)),
            Poll::Ready(Err(panic)) => {
                let status = panic_status(panic.as_ref(), entry.path(), rules.domain);
                return Poll::Ready(Err(status));
            }
            Poll::Pending => {}
        }
        if limits.poll_deadline(cx).is_ready() {
            return Poll::Ready(Err(deadline::exceeded(rules.domain)));
        }
        limits
            .poll_stop(cx)
            .map(|()| Err(status::shutting_down(rules.domain)))
    })
    .await
}

/// Refuses what is not to reach a handler, and counts what is.
fn admit(rules: &Rules, kind: Kind, now: Instant, limits: &mut Limits) -> Result<(), Status> {
    if limits.is_over_at(now) {
        return Err(deadline::exceeded(rules.domain));
    }
    if kind.operational {
        return Ok(());
    }
    if *rules.phase.borrow() == Phase::Starting {
        return Err(status::unavailable(
            rules.domain,
            "DATABASE_BUSY",
            "the database is not there yet, or not migrated yet; try again",
            Metadata::new(),
        ));
    }
    if !kind.streams {
        let permit = Arc::clone(&rules.in_flight).try_acquire_owned();
        limits.permit = Some(permit.map_err(|_| {
            status::unavailable(
                rules.domain,
                "OVERLOADED",
                "more calls run than this server does at once; try again a little later",
                Metadata::new(),
            )
        })?);
    }
    Ok(())
}

/// What the client gets of `response`.
fn finish(
    mut response: Response<Body>,
    rules: Arc<Rules>,
    current: CallContext,
    mut entry: AccessLogEntry,
    limits: Limits,
) -> Response<CallBody> {
    let headers = response.headers_mut();
    entry.response_started();
    if let Some(code) = foreign::explain(headers, &rules.context(entry.path())) {
        entry.finish(code, headers);
    }
    current.id.mark(headers);
    response.map(|inner| CallBody::new(inner, rules, current, entry, limits))
}
