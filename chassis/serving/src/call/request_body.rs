//! The body of a request, which counts the bytes of its messages, and takes the place of the call
//! when the request is complete.
//!
//! A call takes its place that late so that a client cannot take all places with requests that it
//! never completes.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tonic::Status;

use super::field_counter::FieldCounter;
use crate::{
    length_prefixed::MessageLengths,
    limiter::{OpenCall, UNRESERVED_BYTES},
    status,
};

/// The bytes that a field of a message counts for: a decoded element, in a vector that grows.
const FIELD_BYTES: usize = 512;

/// The fields that are part of the bytes of each open call.
const UNRESERVED_FIELDS: usize = 16;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of the request of a call. Fails if the call exceeds a limit.
#[derive(Debug)]
pub(crate) struct RequestBody<B> {
    inner: B,
    call: Arc<OpenCall>,
    lengths: MessageLengths,
    /// The length of the largest message until now.
    largest: usize,
    fields: FieldCounter,
    limits: RequestLimits,
    /// The bytes that are reserved for the largest message until now.
    reserved: usize,
    complete: bool,
}

/// The limits of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestLimits {
    /// The domain of every ErrorInfo.
    pub(crate) domain: &'static str,
    /// The largest message that is accepted, in bytes.
    pub(crate) max_message_bytes: usize,
    /// The call needs the place of a running call.
    pub(crate) needs_place: bool,
}

impl<B> RequestBody<B> {
    pub(crate) fn new(inner: B, call: Arc<OpenCall>, limits: RequestLimits) -> Self {
        Self {
            inner,
            call,
            lengths: MessageLengths::default(),
            largest: 0,
            fields: FieldCounter::default(),
            limits,
            reserved: 0,
            complete: false,
        }
    }

    /// Reserves the bytes of the messages that start in `data`.
    fn count(&mut self, data: &[u8]) -> Result<(), Status> {
        let fields = &mut self.fields;
        let largest = self.lengths.read(data, |part, starts| {
            if starts {
                *fields = FieldCounter::default();
            }
            fields.read(part);
        });
        // tonic rejects a larger message before it buffers it.
        self.largest = self.largest.max(largest.unwrap_or(0));
        if self.largest > self.limits.max_message_bytes {
            return Ok(());
        }
        // The buffer and the decoded message. Of several messages, one is buffered at a time.
        let needed = 2 * self.largest.saturating_sub(UNRESERVED_BYTES / 2)
            + FIELD_BYTES * self.fields.count.saturating_sub(UNRESERVED_FIELDS);
        if needed > self.reserved {
            self.call
                .reserve(needed - self.reserved)
                .map_err(|_| status::memory_limit(self.limits.domain))?;
            self.reserved = needed;
        }
        Ok(())
    }

    /// Starts the call, once.
    fn complete(&mut self) -> Result<(), Status> {
        if std::mem::replace(&mut self.complete, true) {
            return Ok(());
        }
        self.call.start(self.limits.needs_place).map_err(|_| {
            status::overloaded(
                self.limits.domain,
                "the limit of concurrent calls is reached; try again later",
            )
        })
    }
}

impl<B> http_body::Body for RequestBody<B>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let frame = match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
            Some(Ok(frame)) => Some(frame),
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            None => None,
        };
        let counted = match frame.as_ref().map(Frame::data_ref) {
            Some(Some(data)) => this.count(data),
            // Trailers are last, too.
            Some(None) | None => this.complete(),
        };
        Poll::Ready(match counted {
            Ok(()) => frame.map(Ok),
            Err(status) => Some(Err(status.into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        // The end has to be polled, since it completes the request.
        self.complete && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
