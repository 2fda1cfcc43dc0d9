//! The guards of a call: its deadline, its end by the server, and what it holds of the limits.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use http::HeaderMap;
use tokio::time::{Instant, Sleep};
use tonic::Status;

use super::{deadline, methods::MethodInfo, server_context::ServerContext};
use crate::limiter::OpenCall;

/// The guards of a call: they end it early, and hold its share of the limits while it runs.
#[derive(Default)]
pub(crate) struct CallGuards {
    pub(crate) deadline: Option<Instant>,
    /// The timer of the deadline. It is created when the call is first pending: most calls complete
    /// in their first poll.
    timer: Option<Pin<Box<Sleep>>>,
    /// Ends a stream, with its status.
    stop: Option<BoxFuture<'static, Status>>,
    /// Holds the bytes of the call.
    pub(crate) call: Option<Arc<OpenCall>>,
}

impl CallGuards {
    /// Creates the guards of a call that starts `now`.
    ///
    /// tonic's timer is not used. It returns `CANCELLED`, and ignores a malformed timeout.
    pub(crate) fn new(
        server: &ServerContext,
        method: MethodInfo,
        now: Instant,
        headers: &HeaderMap,
    ) -> Result<Self, Status> {
        let limit = (!method.server_streaming).then_some(server.call_timeout);
        let deadline = deadline::from_headers(headers, limit, now, server.domain)?;
        Ok(Self {
            deadline,
            timer: None,
            stop: method.server_streaming.then(|| server.stream_end(method)),
            call: None,
        })
    }

    /// Reports whether the deadline has passed.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over_at(Instant::now())
    }

    /// Reports whether the deadline has passed at `now`.
    pub(crate) fn is_over_at(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Resolves when the deadline has passed. Until then, registers the task to be woken.
    pub(crate) fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else {
            return Poll::Pending;
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        timer.as_mut().poll(cx)
    }

    /// Resolves to the status with which the server ends the call, which must be a stream. Until
    /// then, registers the task to be woken.
    pub(crate) fn poll_stop(&mut self, cx: &mut Context<'_>) -> Poll<Status> {
        match &mut self.stop {
            Some(stop) => stop.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

impl fmt::Debug for CallGuards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallGuards")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
