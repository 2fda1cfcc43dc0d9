//! The TCP socket of an accepted connection, below TLS and HTTP: its slot among the open
//! connections, the signal that aborts it, and TCP keepalive.
//!
//! It does not look at the bytes that pass.

use std::{
    future::Future,
    io::{self, ErrorKind},
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use rustix::net::sockopt;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::settings::ServerSettings;

/// The longest time between two keepalive probes that TCP accepts, in seconds: nine hours.
const MAX_KEEPIDLE: Duration = Duration::from_secs(32_767);

/// TCP keepalive, which detects that a silent peer is gone. HTTP/2 has PINGs for that, and
/// HTTP/1.1 has nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TcpKeepalive {
    /// The idle time before a connection is probed.
    idle: Duration,
    /// The time that the peer may take to acknowledge the probe.
    interval: Duration,
}

impl TcpKeepalive {
    /// Probes as often as HTTP/2 sends PINGs.
    pub(crate) fn from_settings(settings: &ServerSettings) -> Self {
        Self {
            idle: settings.keepalive_interval.min(MAX_KEEPIDLE),
            interval: settings.keepalive_timeout.min(MAX_KEEPIDLE),
        }
    }

    /// Has `stream` probed from now on.
    fn apply(self, stream: impl AsFd) -> rustix::io::Result<()> {
        let stream = stream.as_fd();
        sockopt::set_tcp_keepidle(stream, self.idle)?;
        sockopt::set_tcp_keepintvl(stream, self.interval)?;
        sockopt::set_tcp_keepcnt(stream, 1)?;
        sockopt::set_socket_keepalive(stream, true)
    }
}

/// The socket of an accepted connection. Reads and writes fail once it is aborted.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    keepalive: TcpKeepalive,
    abort: CancellationToken,
    /// Wakes the task of the connection when `abort` is cancelled.
    aborted: Pin<Box<WaitForCancellationFutureOwned>>,
    _slot: OwnedSemaphorePermit,
    _open: Arc<()>,
}

impl Socket {
    /// A socket that holds a slot, counts as open by its copy of `open`, and is aborted by
    /// `abort`.
    pub(crate) fn new(
        stream: TcpStream,
        keepalive: TcpKeepalive,
        abort: CancellationToken,
        slot: OwnedSemaphorePermit,
        open: Arc<()>,
    ) -> Self {
        Self {
            stream,
            keepalive,
            aborted: Box::pin(abort.clone().cancelled_owned()),
            abort,
            _slot: slot,
            _open: open,
        }
    }

    /// Registers the socket with the current runtime, if another one accepted it.
    pub(crate) fn rebind_to_runtime(self) -> io::Result<Self> {
        let stream = TcpStream::from_std(self.stream.into_std()?)?;
        Ok(Self { stream, ..self })
    }

    /// Has TCP probe the peer from now on.
    pub(crate) fn enable_keepalive(&self) {
        // Without probes the connection works as well; it only lasts longer than it has to.
        let _ = self.keepalive.apply(self);
    }

    /// Fails if the socket was aborted. A task that has read before is woken for it.
    fn check_write(&self) -> io::Result<()> {
        if self.abort.is_cancelled() {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

/// Socket options can be read of it.
impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl AsRef<Self> for Socket {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.aborted.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut this.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check_write()?;
        Pin::new(&mut this.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check_write()?;
        Pin::new(&mut this.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
