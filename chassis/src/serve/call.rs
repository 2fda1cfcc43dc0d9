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
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::FutureExt;
use http::{HeaderMap, Request, Response};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, Sleep},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Status, body::Body, service::Routes};

use super::{
    answers::{Answer, Answers},
    body::CallBody,
    deadline::{self, Deadline},
    foreign,
    health::Phase,
    methods::{Kind, Methods},
    outcome::Record,
    request_id::RequestId,
    way::{self, Way},
    web,
};
use crate::status::{self, Metadata};

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
pub(super) struct Calls {
    pub(super) rules: Arc<Rules>,
    pub(super) routes: Routes,
}

impl tower::Service<Request<Body>> for Calls {
    type Response = Response<CallBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Routes are always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let rules = Arc::clone(&self.rules);
        let kind = rules.methods.kind(request.uri().path());
        let limits = Limits::begin(&rules, kind, request.headers());
        let id = RequestId::of(request.headers());
        let slow_call = (!kind.streams).then_some(rules.slow_call);
        let record = Record::new(request.uri().clone(), id.clone(), slow_call);

        let routes = self.routes.clone();
        Box::pin(id.clone().scope(async move {
            let mut limits = limits;
            let arrival = request.extensions_mut().remove().unwrap_or_default();
            let response = match rules.turned_away(&arrival, request.headers()) {
                None => match &mut limits {
                    Ok(limits) => answer(&rules, routes, request, kind, limits).await,
                    Err(refused) => Err(refused.clone()),
                }
                .unwrap_or_else(Status::into_http),
                Some(response) => response,
            };
            let mut limits = limits.unwrap_or_default();
            if !kind.streams {
                limits.answer = Some(arrival.answers.begin());
            }
            Ok(finish(response, rules, id, record, limits))
        }))
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
    fn begin(rules: &Rules, kind: Kind, headers: &HeaderMap) -> Result<Self, Status> {
        let limit = (!kind.streams).then_some(rules.call_timeout);
        let deadline = deadline::of(headers, limit, rules.domain)?;
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
        self.deadline
            .is_some_and(|Deadline(at)| at <= Instant::now())
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
    rules: &Arc<Rules>,
    routes: Routes,
    mut request: Request<Body>,
    kind: Kind,
    limits: &mut Limits,
) -> Result<Response<Body>, Status> {
    admit(rules, kind, limits)?;
    if let Some(deadline) = limits.deadline {
        request.extensions_mut().insert(deadline);
    }
    let mut handler = std::pin::pin!(handle(routes, request, rules.domain));
    std::future::poll_fn(|cx| {
        if limits.is_over() {
            return Poll::Ready(Err(deadline::exceeded(rules.domain)));
        }
        if let Poll::Ready(answer) = handler.as_mut().poll(cx) {
            return Poll::Ready(answer);
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
fn admit(rules: &Rules, kind: Kind, limits: &mut Limits) -> Result<(), Status> {
    if limits.is_over() {
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

/// Calls the handler; a panic is its failure.
async fn handle(
    mut routes: Routes,
    request: Request<Body>,
    domain: &str,
) -> Result<Response<Body>, Status> {
    let path = request.uri().clone();
    let handled = AssertUnwindSafe(async move { tower::Service::call(&mut routes, request).await });
    match handled.catch_unwind().await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(never)) => match never {},
        Err(panic) => Err(panicked(panic.as_ref(), path.path(), domain)),
    }
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
    id: RequestId,
    mut record: Record,
    limits: Limits,
) -> Response<CallBody> {
    let headers = response.headers_mut();
    foreign::explain(headers, &rules.context(record.path()));
    id.mark(headers);
    record.answer(headers);
    response.map(|inner| CallBody::new(inner, rules, id, record, limits))
}

impl Rules {
    /// The answer to a request that is no call, or no one's who may call.
    fn turned_away(&self, arrival: &Arrival, headers: &HeaderMap) -> Option<Response<Body>> {
        match arrival.way {
            _ if arrival.refused => Some(web::foreign_origin(self.domain)),
            Way::Web => None,
            Way::Grpc if way::is_grpc(headers) => None,
            Way::Grpc => Some(way::not_grpc(self.domain)),
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
