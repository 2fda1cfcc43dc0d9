//! The TCP socket of an accepted connection, below TLS and HTTP: its place among the connections, the signal
//! that aborts it, and TCP keepalive.
//!
//! It does not interpret the bytes.

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
};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::{
    limiter::{Connection, Share},
    settings::ServerSettings,
};

/// The longest keepalive time that Linux accepts: 32,767 s, about 9 h.
const MAX_KEEPIDLE: Duration = Duration::from_secs(32_767);

/// TCP keepalive, which detects an unreachable client. HTTP/2 has PINGs for that; HTTP/1.1 has
/// nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TcpKeepalive {
    /// The idle time before a connection is probed.
    idle: Duration,
    /// The time that the client may take to acknowledge the probe.
    interval: Duration,
}

impl TcpKeepalive {
    /// Probes at the interval and with the timeout of HTTP/2 PINGs.
    pub(crate) fn from_settings(settings: &ServerSettings) -> Self {
        Self {
            idle: settings.keepalive_interval.min(MAX_KEEPIDLE),
            interval: settings.keepalive_timeout.min(MAX_KEEPIDLE),
        }
    }

    /// Enables keepalive on `stream`.
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
    connection: Connection,
    /// Wakes the task of the connection when it is aborted.
    aborted: Pin<Box<WaitForCancellationFutureOwned>>,
    _open: Arc<()>,
}

impl Socket {
    /// Wraps an accepted stream. It has the place of `connection`, which aborts it, and counts as open
    /// by its clone of `open`.
    pub(crate) fn new(
        stream: TcpStream,
        keepalive: TcpKeepalive,
        connection: Connection,
        open: Arc<()>,
    ) -> Self {
        Self {
            stream,
            keepalive,
            aborted: Box::pin(connection.abort_signal().cancelled_owned()),
            connection,
            _open: open,
        }
    }

    /// Registers the socket with the current runtime, after another one accepted it.
    pub(crate) fn rebind_to_runtime(self) -> io::Result<Self> {
        let stream = TcpStream::from_std(self.stream.into_std()?)?;
        Ok(Self { stream, ..self })
    }

    /// Returns the share of the connection.
    pub(crate) fn share(&self) -> &Arc<Share> {
        &self.connection
    }

    /// Enables TCP keepalive.
    pub(crate) fn enable_keepalive(&self) {
        // If this fails, the connection only stays open longer after its client is gone.
        let _ = self.keepalive.apply(self);
    }

    /// Fails if the socket was aborted. The last read has registered the task to be woken then.
    fn check_write(&self) -> io::Result<()> {
        if self.connection.is_aborted() {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

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
