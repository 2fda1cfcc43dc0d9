//! Server streams whose messages are encoded once and sent to many clients.
//!
//! For each stream, the gRPC library encodes each message, copies it and puts its length
//! before it. A thousand streams with the same messages spend nearly all of their time on
//! that. A handler can prepare such messages as [`PrefixedMessages`] instead, once for all
//! streams, and return them with [`stream_response`].
//!
//! Such a response is a stream of messages like any other, and has its body among its
//! extensions besides. One step of the path of a call (`call.rs`) puts that body in place of the
//! one that the library made.

use std::{
    marker::PhantomData,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::{Buf, BufMut, Bytes};
use futures::{
    Stream,
    stream::{BoxStream, StreamExt},
};
use http::HeaderMap;
use http_body::Frame;
use prost::Message;
use tonic::{Response, Status, body::Body};

use super::grpc_status;

/// The length of what precedes each message: a flag that says whether it is compressed, and
/// its length in four bytes, see
/// <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.
const PREFIX_LEN: usize = 5;

/// Encoded messages one after the other, each with its prefix, as they travel. None is
/// compressed.
#[derive(Clone, Debug, Default)]
pub struct PrefixedMessages(Bytes);

impl PrefixedMessages {
    /// Puts the prefixes before `messages`, which are encoded.
    ///
    /// # Errors
    ///
    /// `INTERNAL` if a message has 4 GiB or more, whose length the prefix cannot hold.
    pub fn encode<M: AsRef<[u8]>>(messages: &[M]) -> Result<Self, Status> {
        let length = |message: &M| PREFIX_LEN + message.as_ref().len();
        let mut prefixed = Vec::with_capacity(messages.iter().map(length).sum());
        for message in messages.iter().map(AsRef::as_ref) {
            let length = u32::try_from(message.len())
                .map_err(|_| Status::internal("a message is longer than gRPC can send"))?;
            prefixed.put_u8(0);
            prefixed.put_u32(length);
            prefixed.put_slice(message);
        }
        Ok(Self(prefixed.into()))
    }
}

/// Takes the first message off, without its prefix.
impl Iterator for PrefixedMessages {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.0.is_empty() {
            return None;
        }
        let mut prefix = self.0.split_to(PREFIX_LEN);
        prefix.advance(1);
        let length = prefix.get_u32() as usize;
        Some(self.0.split_to(length))
    }
}

type Batches = BoxStream<'static, Result<PrefixedMessages, Status>>;

/// The batches of one response. Either its stream or its body takes them.
#[derive(Clone)]
struct TakeOnce(Arc<Mutex<Option<Batches>>>);

impl TakeOnce {
    fn lock(&self) -> MutexGuard<'_, Option<Batches>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The messages of a response that [`stream_response`] made.
pub struct PreEncodedStream<M> {
    batches: TakeOnce,
    /// The rest of the last batch.
    rest: PrefixedMessages,
    message: PhantomData<fn() -> M>,
}

/// Returns a response with the messages of `batches`, until these end or fail. A server that
/// does not put the body in place decodes each and encodes it again.
pub fn stream_response<M>(
    batches: impl Stream<Item = Result<PrefixedMessages, Status>> + Send + 'static,
) -> Response<PreEncodedStream<M>> {
    let batches = TakeOnce(Arc::new(Mutex::new(Some(batches.boxed()))));
    let mut response = Response::new(PreEncodedStream {
        batches: batches.clone(),
        rest: PrefixedMessages::default(),
        message: PhantomData,
    });
    response.extensions_mut().insert(batches);
    response
}

impl<M: Message + Default> Stream for PreEncodedStream<M> {
    type Item = Result<M, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(message) = self.rest.next() {
                let decoded = M::decode(message);
                let decoded = decoded.map_err(|error| Status::internal(error.to_string()));
                return Poll::Ready(Some(decoded));
            }
            let polled = match &mut *self.batches.lock() {
                Some(batches) => ready!(batches.poll_next_unpin(cx)),
                None => None,
            };
            match polled {
                Some(Ok(batch)) => self.rest = batch,
                Some(Err(status)) => return Poll::Ready(Some(Err(status))),
                None => return Poll::Ready(None),
            }
        }
    }
}

/// Puts the encoded body of a response in place of the one that the library made, if it has
/// one.
pub(super) fn use_encoded_body(mut response: http::Response<Body>) -> http::Response<Body> {
    let batches = response.extensions_mut().remove::<TakeOnce>();
    match batches.and_then(|batches| batches.lock().take()) {
        Some(batches) => response.map(|_| Body::new(PreEncodedBody(Some(batches)))),
        None => response,
    }
}

/// A body of encoded messages, until its trailers are sent.
struct PreEncodedBody(Option<Batches>);

impl http_body::Body for PreEncodedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(batches) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let end = match ready!(batches.poll_next_unpin(cx)) {
            Some(Ok(PrefixedMessages(batch))) => {
                return Poll::Ready(Some(Ok(Frame::data(batch))));
            }
            Some(Err(status)) => status,
            None => Status::ok(""),
        };
        self.0 = None;
        let mut trailers = HeaderMap::new();
        grpc_status::write(&end, &mut trailers);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}
