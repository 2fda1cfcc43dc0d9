//! The body of a response, which enforces the deadline and the drain until the trailers finish the
//! call.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use tonic::{Code, Status, body::Body};

use super::{
    access_log::AccessLogEntry, deadline, guards::CallGuards, library_status, methods::MethodInfo,
    panics::panic_status, server_context::ServerContext,
};
use crate::{
    budget::MemoryLimit, call_context::CallContext, grpc_status, limiter::UNRESERVED_BYTES, status,
};

/// The bytes that a frame counts for besides its data: its entry in the send queue of the HTTP
/// library.
const FRAME_BYTES: usize = 256;

type Polled = Poll<Option<Result<Frame<Bytes>, Status>>>;

/// The body of the response to a call.
#[derive(Debug)]
pub(crate) struct GrpcResponseBody {
    inner: Body,
    server: Arc<ServerContext>,
    method: MethodInfo,
    context: CallContext,
    entry: AccessLogEntry,
    guards: CallGuards,
    /// Set by the first poll, which does not check the deadline: a response that is ready then is
    /// in time.
    polled: bool,
    ended: bool,
    /// The bytes that the response may still send without a reservation.
    unreserved: usize,
}

impl GrpcResponseBody {
    pub(crate) fn new(
        inner: Body,
        server: Arc<ServerContext>,
        method: MethodInfo,
        context: CallContext,
        entry: AccessLogEntry,
        guards: CallGuards,
    ) -> Self {
        Self {
            inner,
            server,
            method,
            context,
            entry,
            guards,
            polled: false,
            ended: false,
            unreserved: UNRESERVED_BYTES,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Polled {
        // Checked before the stream: one that is always ready has to end at the deadline, too.
        if std::mem::replace(&mut self.polled, true) && self.guards.is_over() {
            return self.fail(&deadline::exceeded(self.server.domain));
        }
        let inner = Pin::new(&mut self.inner);
        let polled = catch_unwind(AssertUnwindSafe(|| http_body::Body::poll_frame(inner, cx)));
        match polled {
            Ok(Poll::Ready(Some(Ok(frame)))) => match frame.into_trailers() {
                Ok(trailers) => self.end(trailers),
                Err(frame) => match self.reserve(&frame) {
                    Ok(()) => Poll::Ready(Some(Ok(frame))),
                    Err(MemoryLimit) => self.fail(&status::memory_limit(self.server.domain)),
                },
            },
            Ok(Poll::Ready(Some(Err(status)))) => self.fail(&status),
            Ok(Poll::Ready(None)) => {
                self.close(Code::Unknown, &HeaderMap::new());
                Poll::Ready(None)
            }
            Ok(Poll::Pending) if self.guards.poll_deadline(cx).is_ready() => {
                self.fail(&deadline::exceeded(self.server.domain))
            }
            // Checked last: the stream may send its remaining messages before the server ends it.
            Ok(Poll::Pending) => match self.guards.poll_stop(cx) {
                Poll::Ready(status) => self.fail(&status),
                Poll::Pending => Poll::Pending,
            },
            Err(panic) => {
                let status = panic_status(panic.as_ref(), self.entry.path(), self.server.domain);
                self.fail(&status)
            }
        }
    }

    /// Reserves the bytes of a frame until it is sent.
    fn reserve(&mut self, frame: &Frame<Bytes>) -> Result<(), MemoryLimit> {
        let (Some(data), Some(call)) = (frame.data_ref(), &self.guards.call) else {
            return Ok(());
        };
        let bytes = data.len() + FRAME_BYTES;
        if bytes <= self.unreserved {
            self.unreserved -= bytes;
            return Ok(());
        }
        call.reserve_frame(bytes)
    }

    /// Ends the call with `status` instead of the trailers of the handler.
    fn fail(&mut self, status: &Status) -> Polled {
        let mut trailers = HeaderMap::new();
        grpc_status::write(status, &mut trailers);
        self.end(trailers)
    }

    /// Ends the call with these trailers, and adds error details where they are missing.
    fn end(&mut self, mut trailers: HeaderMap) -> Polled {
        let info = self.server.call_info(self.entry.path(), self.method);
        let code = library_status::normalize(&mut trailers, &info);
        self.close(code.unwrap_or(Code::Unknown), &trailers);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    /// Finishes the access log entry, and releases the open call and the inner body, since hyper may drop
    /// this body much later. The call stays open until its last byte is sent.
    fn close(&mut self, code: Code, trailers: &HeaderMap) {
        self.entry.finish(code, trailers, &self.server.refusals);
        self.ended = true;
        self.inner = Body::empty();
        self.guards = CallGuards::default();
    }
}

impl http_body::Body for GrpcResponseBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        let context = this.context.clone();
        context.sync_scope(|| this.poll(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }
}
