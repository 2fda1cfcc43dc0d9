//! Server streams whose messages are encoded once and sent to many clients.
//!
//! tonic encodes, copies and prefixes every message for each stream, on which 1000 streams of equal
//! messages spend nearly all of their time. A handler can instead encode such messages once, as
//! [`PrefixedMessages`], and return them with [`stream_response`]. Such a response is a normal
//! stream of messages whose extensions also hold the encoded body. The last step in `call.rs`
//! replaces tonic's body by that one.

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

/// The length of the prefix of a message, in bytes: 1 for the compression flag, 4 for the length. See
/// Length-Prefixed-Message in <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.
const PREFIX_LEN: usize = 5;

/// Concatenated length-prefixed messages, uncompressed.
#[derive(Clone, Debug, Default)]
pub struct PrefixedMessages(Bytes);

impl PrefixedMessages {
    /// Prefixes `messages`, which are encoded already.
    ///
    /// # Errors
    ///
    /// `INTERNAL` if a message has 4 GiB or more, which exceeds the prefix.
    pub fn encode<M: AsRef<[u8]>>(messages: &[M]) -> Result<Self, Status> {
        let length = |message: &M| PREFIX_LEN + message.as_ref().len();
        let mut prefixed = Vec::with_capacity(messages.iter().map(length).sum());
        for message in messages.iter().map(AsRef::as_ref) {
            let length = u32::try_from(message.len())
                .map_err(|_| Status::internal("the message is longer than gRPC can send"))?;
            prefixed.put_u8(0);
            prefixed.put_u32(length);
            prefixed.put_slice(message);
        }
        Ok(Self(prefixed.into()))
    }
}

/// Iterates over the messages, without their prefixes.
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

/// Reads the lengths of length-prefixed messages from frames, however these split the messages.
#[derive(Debug, Default)]
pub(crate) struct MessageLengths {
    prefix: [u8; PREFIX_LEN],
    /// The number of bytes of the next prefix that were read.
    filled: usize,
    /// The number of bytes of the current message that were not read yet.
    rest: usize,
    /// The next part is the start of a message.
    starts: bool,
}

impl MessageLengths {
    /// Returns the length of the largest message whose prefix ends in `data`, the next frame.
    #[cfg(test)]
    fn largest_in(&mut self, data: &[u8]) -> Option<usize> {
        self.read(data, |_, _| {})
    }

    /// Returns the length of the largest message whose prefix ends in `data`, the next frame. Passes
    /// each part of a message to `part`, with `true` if the message starts there.
    pub(crate) fn read(
        &mut self,
        mut data: &[u8],
        mut part: impl FnMut(&[u8], bool),
    ) -> Option<usize> {
        let mut largest = None;
        loop {
            let skipped = self.rest.min(data.len());
            self.rest -= skipped;
            part(&data[..skipped], std::mem::take(&mut self.starts));
            data = &data[skipped..];
            if data.is_empty() {
                return largest;
            }
            let read = (PREFIX_LEN - self.filled).min(data.len());
            self.prefix[self.filled..self.filled + read].copy_from_slice(&data[..read]);
            self.filled += read;
            data = &data[read..];
            if self.filled == PREFIX_LEN {
                let [_, length @ ..] = self.prefix;
                self.filled = 0;
                self.starts = true;
                self.rest = u32::from_be_bytes(length) as usize;
                largest = largest.max(Some(self.rest));
            }
        }
    }
}

type Batches = BoxStream<'static, Result<PrefixedMessages, Status>>;

/// The batches of one response, which either its stream or its encoded body takes.
#[derive(Clone)]
struct TakeOnce(Arc<Mutex<Option<Batches>>>);

impl TakeOnce {
    fn lock(&self) -> MutexGuard<'_, Option<Batches>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The stream of a response that [`stream_response`] returns. It decodes the messages again, for
/// servers that do not use the encoded body.
pub struct PreEncodedStream<M> {
    batches: TakeOnce,
    /// The remaining messages of the current batch.
    rest: PrefixedMessages,
    message: PhantomData<fn() -> M>,
}

/// Returns a response that streams the messages of `batches`. It ends or fails when `batches` does.
///
/// A server that does not use the encoded body decodes each message and encodes it again.
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

/// Replaces the body of a response by its encoded body, if it has one.
pub(super) fn use_encoded_body(mut response: http::Response<Body>) -> http::Response<Body> {
    let batches = response.extensions_mut().remove::<TakeOnce>();
    match batches.and_then(|batches| batches.lock().take()) {
        Some(batches) => response.map(|_| Body::new(PreEncodedBody(Some(batches)))),
        None => response,
    }
}

/// A response body of encoded messages. It is `None` after the trailers.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_lengths_are_read_however_frames_split_messages() {
        let messages: [&[u8]; 4] = [&[1; 3], &[], &[2; 300], &[3; 7]];
        let PrefixedMessages(all) = PrefixedMessages::encode(&messages).unwrap();

        assert_eq!(MessageLengths::default().largest_in(&all), Some(300));
        for size in 1..all.len() {
            let mut lengths = MessageLengths::default();
            let read: Vec<_> = all
                .chunks(size)
                .filter_map(|frame| lengths.largest_in(frame))
                .collect();
            assert_eq!(read.iter().max(), Some(&300), "frames of {size} bytes");
        }
    }

    #[test]
    fn message_lengths_are_known_before_the_message_arrives() {
        let mut lengths = MessageLengths::default();

        assert_eq!(lengths.largest_in(&[0, 0, 0x40]), None);
        assert_eq!(lengths.largest_in(&[0, 0]), Some(0x40_0000));
        assert_eq!(lengths.largest_in(&vec![0; 0x3f_ffff]), None);
        assert_eq!(lengths.largest_in(&[9, 0, 0, 0, 0, 2]), Some(2));
    }
}
