//! Messages of a stream that are framed once, and sent to many.
//!
//! The gRPC library takes each message of each stream by itself, copies it and puts its length
//! before it. Where a thousand are sent the same, that is nearly all of the work. Here it is
//! done once, for many messages: each stream is handed the piece that has them all, which is
//! shared and not copied.

use std::{
    future::{Ready, ready},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::{BufMut, Bytes};
use futures::{
    Stream,
    stream::{BoxStream, Once, StreamExt, once},
};
use http::HeaderMap;
use http_body::Frame;
use tonic::{Response, Status, body::Body};

use super::outcome;

/// What stands before each message: whether it is compressed, and its length, see
/// <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.
const HEADER: usize = 5;

/// Encoded messages one after the other, as they travel. None is compressed.
#[derive(Clone, Debug, Default)]
pub struct Frames(Bytes);

impl Frames {
    /// The messages, which are encoded.
    ///
    /// # Errors
    ///
    /// `INTERNAL` if one has 4 GiB or more, whose length cannot be told.
    pub fn of<M: AsRef<[u8]>>(messages: &[M]) -> Result<Self, Status> {
        let length = |message: &M| HEADER + message.as_ref().len();
        let mut frames = Vec::with_capacity(messages.iter().map(length).sum());
        for message in messages.iter().map(AsRef::as_ref) {
            let length = u32::try_from(message.len())
                .map_err(|_| Status::internal("a message is longer than gRPC can send"))?;
            frames.put_u8(0);
            frames.put_u32(length);
            frames.put_slice(message);
        }
        Ok(Self(frames.into()))
    }
}

/// What a handler returns for the pieces of its answer. As a stream of messages it is one that
/// fails: only [`serve`](super) knows the pieces.
pub type Pieces<M> = Once<Ready<Result<M, Status>>>;

/// An answer of the messages in `pieces`, until those end or fail.
pub fn respond<M>(
    pieces: impl Stream<Item = Result<Frames, Status>> + Send + 'static,
) -> Response<Pieces<M>> {
    let unknown = Status::internal("an answer in pieces was served by who does not know them");
    let mut response = Response::new(once(ready(Err(unknown))));
    let body = Body::new(InPieces(Some(pieces.boxed())));
    let body = Arc::new(Mutex::new(Some(body)));
    response.extensions_mut().insert(Kept(body));
    response
}

/// What a handler answered, with its pieces for a body if it has some.
pub(super) fn with_pieces(mut response: http::Response<Body>) -> http::Response<Body> {
    let kept = response.extensions_mut().remove::<Kept>();
    let body = kept.and_then(|Kept(body)| {
        let mut body = body.lock().unwrap_or_else(PoisonError::into_inner);
        body.take()
    });
    match body {
        Some(body) => response.map(|_| body),
        None => response,
    }
}

/// A body on its way from a handler. It is taken out once; what is kept with a response has to
/// be one that could be cloned.
#[derive(Clone)]
struct Kept(Arc<Mutex<Option<Body>>>);

/// The body that the pieces are, until its trailers are sent.
struct InPieces(Option<BoxStream<'static, Result<Frames, Status>>>);

impl http_body::Body for InPieces {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(pieces) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let end = match ready!(pieces.poll_next_unpin(cx)) {
            Some(Ok(Frames(piece))) => return Poll::Ready(Some(Ok(Frame::data(piece)))),
            Some(Err(status)) => status,
            None => Status::ok(""),
        };
        self.0 = None;
        let mut trailers = HeaderMap::new();
        outcome::write(&end, &mut trailers);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}
