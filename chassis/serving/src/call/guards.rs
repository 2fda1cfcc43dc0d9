//! The guards of a call: what ends it early, and what it holds while it runs.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::HeaderMap;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep},
};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::Status;

use super::{deadline, methods::MethodInfo, server_context::ServerContext};
use crate::stall::PendingResponse;

/// The guards of a call: what ends it early, and what it holds while it runs.
#[derive(Debug, Default)]
pub(crate) struct CallGuards {
    pub(crate) deadline: Option<Instant>,
    // Most calls have their response in their first poll, and need none.
    timer: Option<Pin<Box<Sleep>>>,
    stop: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    pub(crate) permit: Option<OwnedSemaphorePermit>,
    /// Shows the connection that the response is pending. A stream has none and may be pending
    /// for ever, since it buffers little for its client.
    pub(crate) pending_response: Option<PendingResponse>,
}

impl CallGuards {
    /// Starts the clock of a call.
    ///
    /// tonic's own timer, which answers `CANCELLED` and ignores a time-out that it cannot
    /// understand, is not there: it belongs to tonic's server.
    pub(crate) fn begin(
        server: &ServerContext,
        method: MethodInfo,
        now: Instant,
        headers: &HeaderMap,
    ) -> Result<Self, Status> {
        let limit = (!method.server_streaming).then_some(server.call_timeout);
        let deadline = deadline::from_headers(headers, limit, now, server.domain)?;
        let draining = || Box::pin(server.draining.clone().cancelled_owned());
        Ok(Self {
            deadline,
            timer: None,
            stop: method.server_streaming.then(draining),
            permit: None,
            pending_response: None,
        })
    }

    /// Whether the deadline is over.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over_at(Instant::now())
    }

    pub(crate) fn is_over_at(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Resolves when the deadline is over, and has the task woken then.
    pub(crate) fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else {
            return Poll::Pending;
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        timer.as_mut().poll(cx)
    }

    /// Whether the call is a stream that has to end since the server drains; if not, the
    /// task is woken when it has to.
    pub(crate) fn poll_stop(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.stop {
            Some(stop) => stop.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}
