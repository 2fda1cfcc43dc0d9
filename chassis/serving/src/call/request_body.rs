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
use prost::DecodeError;
use tonic::Status;

use super::{
    decoded_size::DecodedSize,
    methods::{MethodInfo, MethodTable},
    server_context::ServerContext,
};
use crate::{
    length_prefixed::MessageLengths,
    limiter::{OpenCall, UNRESERVED_BYTES},
    status,
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of the request of a call. Fails if the call exceeds a limit.
#[derive(Debug)]
pub(crate) struct RequestBody<B> {
    inner: B,
    call: Arc<OpenCall>,
    lengths: MessageLengths,
    /// The length of the largest message until now.
    largest: usize,
    /// The elements of the message that is being received.
    decoded: DecodedSize,
    server: Arc<ServerContext>,
    method: MethodInfo,
    /// The bytes that are reserved for the largest message until now.
    reserved: usize,
    complete: bool,
}

impl<B> RequestBody<B> {
    pub(crate) fn new(
        inner: B,
        call: Arc<OpenCall>,
        server: Arc<ServerContext>,
        method: MethodInfo,
    ) -> Self {
        Self {
            inner,
            call,
            lengths: MessageLengths::default(),
            largest: 0,
            decoded: DecodedSize::new(method.request),
            server,
            method,
            reserved: 0,
            complete: false,
        }
    }

    /// Reserves the bytes of the messages that start in `data`.
    fn count(&mut self, data: &[u8]) -> Result<(), Status> {
        let (decoded, types) = (&mut self.decoded, self.server.methods.types());
        let request = self.method.request;
        let largest = self.lengths.read(data, |part, starts| {
            if starts {
                *decoded = DecodedSize::new(request);
            }
            decoded.read(types, part);
        });
        // tonic rejects a larger message before it buffers it.
        self.largest = self.largest.max(largest.unwrap_or(0));
        if self.largest > self.server.max_message_bytes(self.method) {
            return Ok(());
        }
        // Of several messages, one is buffered at a time.
        let needed =
            message_bytes(self.largest, self.decoded.bytes).saturating_sub(UNRESERVED_BYTES);
        if needed > self.reserved {
            self.call
                .reserve(needed - self.reserved)
                .map_err(|_| status::memory_limit(self.server.domain))?;
            self.reserved = needed;
        }
        Ok(())
    }

    /// Starts the call, once.
    fn complete(&mut self) -> Result<(), Status> {
        if std::mem::replace(&mut self.complete, true) {
            return Ok(());
        }
        self.call.start(self.method.needs_place()).map_err(|_| {
            status::overloaded(
                self.server.domain,
                "the limit of concurrent calls is reached; try again later",
            )
        })
    }
}

/// Returns the bytes that a request message of the method at `path` counts for, besides those of its
/// open call.
///
/// # Errors
///
/// If `descriptor_set` is not a valid `google.protobuf.FileDescriptorSet`.
pub fn request_bytes(
    descriptor_set: &[u8],
    path: &str,
    message: &[u8],
) -> Result<usize, DecodeError> {
    let methods = MethodTable::from_descriptor_sets(&[descriptor_set])?;
    let mut decoded = DecodedSize::new(methods.info(path).request);
    decoded.read(methods.types(), message);
    Ok(message_bytes(message.len(), decoded.bytes))
}

/// Returns the bytes that a message counts for: its buffer, its decoded texts, which are not longer,
/// and its decoded elements.
fn message_bytes(length: usize, elements: usize) -> usize {
    2 * length + elements
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
