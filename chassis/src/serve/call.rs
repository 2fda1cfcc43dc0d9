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
//! 6. the deadline.

use std::{
    any::Any,
    convert::Infallible,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    thread,
    time::Duration,
};

use futures::{FutureExt, future::Either};
use http::{HeaderMap, Request, Response};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, Sleep},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Status, body::Body, server::NamedService, service::Routes};

use super::{
    answers::{Answer, Answers},
    body::CallBody,
    current::Current,
    deadline::{self, Deadline},
    foreign, frames,
    health::Phase,
    methods::{Kind, Methods},
    outcome::Record,
    request_id::RequestId,
    way::{self, Way},
    web,
};
use crate::status::{self, Metadata};

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

/// What holds for every call of a server.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) name: &'static str,
    pub(super) domain: &'static str,
    pub(super) methods: Methods,
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) in_flight: Arc<Semaphore>,
    pub(super) call_timeout: Duration,
    pub(super) slow_call: Duration,
    pub(super) max_message_bytes: usize,
    /// Cancelled when every stream has to end.
    pub(super) draining: CancellationToken,
}

/// What is known of a request that its head does not say.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrival {
    /// The answers of its connection.
    pub(super) answers: Answers,
    /// By which way it came. One of gRPC-Web is translated already.
    pub(super) way: Way,
    /// Whether it comes from a page that may not call.
    pub(super) refused: bool,
}

/// The calls of a server.
#[derive(Clone, Debug)]
pub(super) struct Calls<S> {
    pub(super) rules: Arc<Rules>,
    /// Those of the service itself.
    pub(super) handlers: S,
    /// Those that are there for operators.
    pub(super) companions: Routes,
}

impl<S: Handlers> Calls<S> {
    /// What a request is answered.
    pub(super) fn answer(
        &self,
        request: Request<Body>,
        arrival: Arrival,
    ) -> impl Future<Output = Response<CallBody>> + Send + use<S> {
        let rules = Arc::clone(&self.rules);
        let kind = rules.methods.kind(request.uri().path());
        let now = Instant::now();
        let limits = Limits::begin(&rules, kind, now, request.headers());
        let current = Current {
            id: RequestId::of(request.headers()),
            deadline: limits.as_ref().ok().and_then(|limits| limits.deadline),
        };
        let record = Record::new(
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
                        match admitted.and_then(|()| handlers.begin(request, &rules, &record)) {
                            Ok(handled) => {
                                let handled = pin!(AssertUnwindSafe(handled).catch_unwind());
                                let answer = answer(&rules, handled, limits, &record);
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
            finish(response, rules, current, record, limits)
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
        record: &Record,
    ) -> Result<impl Future<Output = Response<Body>> + Send + use<S>, Status> {
        catch_unwind(AssertUnwindSafe(|| self.handle(request)))
            .map_err(|panic| panicked(panic.as_ref(), record.path(), rules.domain))
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
            Ok(response) => frames::with_pieces(response),
            Err(never) => match never {},
        })
    }
}

/// What ends a call early, and what it keeps while it runs.
#[derive(Debug, Default)]
pub(super) struct Limits {
    deadline: Option<Deadline>,
    // Most calls are answered at once, and need none.
    timer: Option<Pin<Box<Sleep>>>,
    stop: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    permit: Option<OwnedSemaphorePermit>,
    /// Where the connection sees that the answer waits. A stream may wait for ever: what it
    /// keeps for its client is little.
    answer: Option<Answer>,
}

impl Limits {
    /// Starts the clock of a call.
    ///
    /// tonic's own timer, which answers `CANCELLED` and ignores a time-out that it cannot
    /// understand, is not there: it belongs to tonic's server.
    fn begin(rules: &Rules, kind: Kind, now: Instant, headers: &HeaderMap) -> Result<Self, Status> {
        let limit = (!kind.streams).then_some(rules.call_timeout);
        let deadline = deadline::of(headers, limit, now, rules.domain)?;
        let draining = || Box::pin(rules.draining.clone().cancelled_owned());
        Ok(Self {
            deadline,
            timer: None,
            stop: kind.streams.then(draining),
            permit: None,
            answer: None,
        })
    }

    /// Whether the deadline is over.
    pub(super) fn is_over(&self) -> bool {
        self.is_over_at(Instant::now())
    }

    fn is_over_at(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|Deadline(at)| at <= now)
    }

    /// The same for a call that has to wait: the task is woken when it is over.
    pub(super) fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(Deadline(at)) = self.deadline else {
            return Poll::Pending;
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        timer.as_mut().poll(cx)
    }

    /// Whether the call is a stream that has to end since the server drains; if not, the
    /// task is woken when it has to.
    pub(super) fn poll_stop(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.stop {
            Some(stop) => stop.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

/// The handler's answer, or the failure that the call gets in its stead.
async fn answer(
    rules: &Rules,
    mut handled: Pin<&mut impl Future<Output = thread::Result<Response<Body>>>>,
    limits: &mut Limits,
    record: &Record,
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
                let status = panicked(panic.as_ref(), record.path(), rules.domain);
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

/// What a call gets that panicked. The log gets the panic's text.
pub(super) fn panicked(panic: &(dyn Any + Send), method: &str, domain: &str) -> Status {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("of an unknown kind");
    let request_id = super::request_id::current();
    tracing::error!(panic = text, method, request_id, "a call panicked");
    status::internal_logged(domain)
}

/// What the client gets of `response`.
fn finish(
    mut response: Response<Body>,
    rules: Arc<Rules>,
    current: Current,
    mut record: Record,
    limits: Limits,
) -> Response<CallBody> {
    let headers = response.headers_mut();
    record.answer();
    if let Some(code) = foreign::explain(headers, &rules.context(record.path())) {
        record.end(code, headers);
    }
    current.id.mark(headers);
    response.map(|inner| CallBody::new(inner, rules, current, record, limits))
}

impl Rules {
    /// The answer to a request that is no call, or no one's who may call.
    fn turned_away(&self, arrival: &Arrival) -> Option<Response<Body>> {
        match arrival.way {
            _ if arrival.refused => Some(web::foreign_origin(self.domain)),
            Way::Grpc | Way::Web => None,
            Way::Foreign => Some(way::not_grpc(self.domain)),
            Way::Other | Way::Preflight => Some(way::not_web(self.domain, self.name)),
        }
    }

    /// What failures of the gRPC library are explained with.
    pub(super) fn context<'a>(&self, path: &'a str) -> foreign::Context<'a> {
        foreign::Context {
            domain: self.domain,
            path,
            max_message_bytes: self.max_message_bytes,
        }
    }
}
