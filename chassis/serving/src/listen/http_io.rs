//! The bytes of an HTTP connection, above TLS: detects HTTP/2 or HTTP/1.1 from the first bytes, and
//! enforces the limits that hyper does not have.
//!
//! A client has to send its first bytes in time, and has to read its responses. Otherwise reads and
//! writes fail, which ends the connection. It does not interpret bytes after the first ones.

use std::{
    future::Future,
    io::{self, ErrorKind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

use super::{http_version::HttpVersion, socket::Socket};
use crate::{
    limiter::Share,
    stall::{PendingResponse, StallDetector},
};

/// The bytes that a connection reads and writes before it yields to the other connections of its
/// runtime. A client that sends without a pause would delay them by 128 reads, which is the limit of
/// tokio.
const TURN_BYTES: usize = 32 * 1024;

/// The limits of a connection that [`HttpIo`] enforces.
#[derive(Clone, Debug)]
pub(crate) struct HttpIoLimits {
    /// The longest time until the first bytes of the client tell the HTTP version.
    pub(crate) header_read_timeout: Duration,
    /// The longest time that a response may be pending without the client reading it.
    pub(crate) read_limit: Duration,
    /// Cancelled to close connections whose HTTP version is unknown.
    pub(crate) close_unidentified: CancellationToken,
}

/// An HTTP connection over `IO`: the TLS stream or, without TLS, the [`Socket`].
pub(crate) struct HttpIo<IO> {
    io: IO,
    version: HttpVersion,
    /// Resolves when a limit is exceeded and the connection has to end.
    guard: Pin<Box<dyn Future<Output = ErrorKind> + Send>>,
    ended: Option<ErrorKind>,
    stall: StallDetector,
    read_limit: Duration,
    /// A write that waits for the client to read. It counts as a pending response: streams have no
    /// other, and a PING cannot be written either.
    blocked_write: Option<PendingResponse>,
    /// The bytes that were read and written in this turn.
    turn: usize,
}

impl<IO: AsRef<Socket>> HttpIo<IO> {
    /// Wraps a connection whose client has not sent anything yet.
    pub(crate) fn new(io: IO, limits: HttpIoLimits) -> Self {
        let HttpIoLimits {
            header_read_timeout,
            read_limit,
            close_unidentified,
        } = limits;
        let stall = io.as_ref().share().stall.clone();
        Self {
            io,
            version: HttpVersion::UNKNOWN,
            guard: Box::pin(await_preface(header_read_timeout, close_unidentified)),
            ended: None,
            stall,
            read_limit,
            blocked_write: None,
            turn: 0,
        }
    }

    /// Returns the share of the connection.
    pub(crate) fn share(&self) -> &Arc<Share> {
        self.io.as_ref().share()
    }
}

impl<IO> HttpIo<IO> {
    /// Fails if the connection has to end. Otherwise registers the task to be woken when it has to.
    fn poll_guard(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.ended.is_none()
            && let Poll::Ready(kind) = self.guard.as_mut().poll(cx)
        {
            self.ended = Some(kind);
        }
        self.ended.map_or(Ok(()), |kind| Err(kind.into()))
    }

    /// Waits for the next turn of this connection, if this one is used up.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.turn < TURN_BYTES {
            return Poll::Ready(());
        }
        self.turn = 0;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Records whether a write waits for the client.
    fn on_write(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Pending => {
                self.turn = 0;
                self.blocked_write
                    .get_or_insert_with(|| self.stall.track_response());
            }
            Poll::Ready(result) => {
                self.turn += result.as_ref().unwrap_or(&0);
                self.blocked_write = None;
            }
        }
        written
    }

    /// Fails a write if the connection has to end. hyper does not read, which checks the guard, too,
    /// while it writes a response over HTTP/1.1, and while the acknowledgement of a PING waits.
    fn check_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.version == HttpVersion::Http1 || self.blocked_write.is_some() {
            self.poll_guard(cx)?;
        }
        Ok(())
    }
}

impl<IO: AsRef<Socket>> HttpIo<IO> {
    /// Detects the HTTP version from the first bytes, and replaces the guard.
    ///
    /// From then on hyper detects silent clients: by PINGs over HTTP/2, and over HTTP/1.1 by the
    /// time limit on request heads.
    fn on_bytes(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> io::Result<()> {
        self.version = self.version.detect(bytes);
        match self.version {
            HttpVersion::Unknown { .. } => return Ok(()),
            HttpVersion::Http2 => {}
            HttpVersion::Http1 => self.io.as_ref().enable_keepalive(),
        }
        self.guard = Box::pin(watch_stall(self.read_limit, self.stall.clone()));
        // Registers the new guard's waker: hyper may not read again before the guard resolves.
        self.poll_guard(cx)
    }
}

/// Waits until a connection of unknown HTTP version has to end, and returns the reason.
async fn await_preface(timeout: Duration, close_unidentified: CancellationToken) -> ErrorKind {
    tokio::select! {
        () = close_unidentified.cancelled() => ErrorKind::ConnectionAborted,
        () = tokio::time::sleep(timeout) => ErrorKind::TimedOut,
    }
}

/// Waits until a client has stalled, and returns the reason to end its connection.
async fn watch_stall(limit: Duration, stall: StallDetector) -> ErrorKind {
    stall.wait_for_stall(limit).await;
    tracing::warn!(
        ?limit,
        "client stopped reading responses; connection aborted"
    );
    ErrorKind::TimedOut
}

impl<IO: AsyncRead + AsRef<Socket> + Unpin> AsyncRead for HttpIo<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.poll_guard(cx)?;
        ready!(this.poll_turn(cx));
        let before = buf.filled().len();
        let Poll::Ready(read) = Pin::new(&mut this.io).poll_read(cx, buf) else {
            this.turn = 0;
            return Poll::Pending;
        };
        read?;
        this.turn += buf.filled().len() - before;
        if matches!(this.version, HttpVersion::Unknown { .. }) {
            this.on_bytes(&buf.filled()[before..], cx)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for HttpIo<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check_write(cx)?;
        ready!(this.poll_turn(cx));
        let written = Pin::new(&mut this.io).poll_write(cx, buf);
        this.on_write(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check_write(cx)?;
        ready!(this.poll_turn(cx));
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.on_write(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::sockopt;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;
    use crate::{
        limiter::Limiter,
        listen::{http_version::PREFACE, socket::TcpKeepalive},
        settings::ServerSettings,
    };

    #[tokio::test]
    async fn tcp_keepalive_is_enabled_for_http_1_only() {
        let settings = ServerSettings::default();
        let limiter = Limiter::new(&settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();

        for (sent, probed) in [(PREFACE, false), (&b"POST"[..], true)] {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(sent).await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let connection = limiter
                .admit_connection(CancellationToken::new(), &mut false)
                .await
                .unwrap();
            let socket = Socket::new(
                stream,
                TcpKeepalive::from_settings(&settings),
                connection,
                Arc::default(),
            );
            let limits = HttpIoLimits {
                header_read_timeout: settings.header_read_timeout,
                read_limit: settings.call_timeout,
                close_unidentified: CancellationToken::new(),
            };
            let mut server = HttpIo::new(socket, limits);
            server.read_exact(&mut vec![0; sent.len()]).await.unwrap();

            assert_eq!(sockopt::socket_keepalive(&server.io), Ok(probed));
            if probed {
                let idle = sockopt::tcp_keepidle(&server.io);
                assert_eq!(idle, Ok(settings.keepalive_interval));
            }
        }
    }
}
