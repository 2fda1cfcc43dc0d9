//! Incoming connections, each with the guards that the HTTP stack lacks: a cap on how
//! many are open, a time by which one has to begin to speak, and a way to end them.
//!
//! Whether one speaks HTTP/2 or HTTP/1.1 shows in its first bytes.

use std::{
    future::Future,
    io::{self, ErrorKind},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::Stream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;

use super::{
    answers::Answers,
    speech::{Probes, Speech},
};
use process::Failure;

use crate::settings::ServerSettings;

/// How long to wait after the first failure to accept, and after any in a row at the
/// most: with no descriptors left, each further attempt fails at once.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Listens on `address`; port 0 takes any free one.
///
/// # Errors
///
/// [`Failure::Setting`] if this cannot work on this machine, as with a port that is
/// taken; [`Failure::Failed`] if it fails for another reason.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address)
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => Failure::Setting(format!(
                "{address} is taken: another process listens there; end it, or listen on another \
             port"
            )),
            ErrorKind::AddrNotAvailable => Failure::Setting(format!(
                "{address} is no address of this machine; listen on 127.0.0.1 for this machine \
             alone, or on 0.0.0.0 for every network"
            )),
            ErrorKind::PermissionDenied => Failure::Setting(format!(
                "{address} takes a privilege that this process lacks; listen on a port from 1024 on"
            )),
            _ => Failure::Failed(format!("{address} cannot be listened on: {error}")),
        })
}

/// The connections of a server.
#[derive(Debug)]
pub(super) struct Connections {
    slots: Arc<Semaphore>,
    first_byte_timeout: Duration,
    /// How long an answer may wait for its client to read it.
    read_limit: Duration,
    probes: Probes,
    /// Each open connection has a copy.
    open: Arc<()>,
    /// Cancelled when those that have not begun to speak have to end.
    silent: CancellationToken,
    /// Cancelled when all have to end.
    all: CancellationToken,
}

impl Connections {
    /// None yet, and never more than the settings say.
    pub(super) fn new(settings: &ServerSettings) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(settings.max_connections.get())),
            first_byte_timeout: settings.first_byte_timeout,
            read_limit: settings.call_timeout,
            probes: Probes::of(settings),
            open: Arc::new(()),
            silent: CancellationToken::new(),
            all: CancellationToken::new(),
        }
    }

    /// How many are open.
    pub(super) fn open(&self) -> usize {
        Arc::strong_count(&self.open) - 1
    }

    /// Ends those that have not begun to speak, now and from now on.
    pub(super) fn end_silent(&self) {
        self.silent.cancel();
    }

    /// Ends all, in the middle of whatever they do.
    pub(super) fn cut(&self) {
        self.all.cancel();
    }

    /// The connections that `listener` accepts, without an end. At the cap none is
    /// accepted until one closes; it waits in the backlog of the listener.
    pub(super) fn accept(&self, listener: TcpListener) -> impl Stream<Item = Connection> + use<> {
        let slots = Arc::clone(&self.slots);
        // A copy that belongs to no connection must not count.
        let open = Arc::downgrade(&self.open);
        let (first_byte_timeout, read_limit, probes, silent, all) = (
            self.first_byte_timeout,
            self.read_limit,
            self.probes,
            self.silent.clone(),
            self.all.clone(),
        );
        async_stream::stream! {
            let mut full = false;
            while let Some(slot) = slot(&slots, &mut full).await {
                let stream = accepted(&listener).await;
                let Some(open) = open.upgrade() else { return };
                let guard = Box::pin(speak_within(first_byte_timeout, silent.clone()));
                yield Connection {
                    stream,
                    speech: Speech::Preface(0),
                    guard,
                    ended: None,
                    answers: Answers::default(),
                    read_limit,
                    probes,
                    cut: all.child_token(),
                    _slot: slot,
                    _open: open,
                };
            }
        }
    }
}

/// Nobody is left to serve them.
impl Drop for Connections {
    fn drop(&mut self) {
        self.cut();
    }
}

/// Room for one connection. `full` says whether there was none the last time, so that
/// the log gets one line each time that the cap is reached.
async fn slot(slots: &Arc<Semaphore>, full: &mut bool) -> Option<OwnedSemaphorePermit> {
    if let Ok(slot) = Arc::clone(slots).try_acquire_owned() {
        *full = false;
        return Some(slot);
    }
    if !std::mem::replace(full, true) {
        tracing::warn!("as many connections are open as are allowed; the next ones wait");
    }
    Arc::clone(slots).acquire_owned().await.ok()
}

/// The next connection, after as many attempts as it takes.
async fn accepted(listener: &TcpListener) -> TcpStream {
    let (first, longest) = BACK_OFF;
    let mut failed = None;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if failed.is_some() {
                    tracing::info!("connections are accepted again");
                }
                // Without it small answers wait for the client's acknowledgements. It
                // fails on a connection that is gone, which shows when it is read.
                let _ = stream.set_nodelay(true);
                return stream;
            }
            // The connection failed, not the listener.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionAborted
                        | ErrorKind::ConnectionReset
                        | ErrorKind::Interrupted
                ) => {}
            Err(error) => {
                if failed.is_none() {
                    tracing::error!(%error, "no connection can be accepted; still trying");
                }
                let wait = failed.map_or(first, |last: Duration| (last * 2).min(longest));
                failed = Some(wait);
                tokio::time::sleep(wait).await;
            }
        }
    }
}

/// Why a connection ended that has not begun to speak.
async fn speak_within(timeout: Duration, silent: CancellationToken) -> ErrorKind {
    tokio::select! {
        () = silent.cancelled() => ErrorKind::ConnectionAborted,
        () = tokio::time::sleep(timeout) => ErrorKind::TimedOut,
    }
}

/// Why a connection ended that had begun to speak.
async fn read_within(limit: Duration, answers: Answers, cut: CancellationToken) -> ErrorKind {
    tokio::select! {
        () = cut.cancelled() => ErrorKind::ConnectionAborted,
        () = answers.stalled(limit) => {
            tracing::warn!(?limit, "a client does not read its answers; its connection is cut");
            ErrorKind::TimedOut
        }
    }
}

/// An accepted connection.
pub(super) struct Connection {
    stream: TcpStream,
    speech: Speech,
    /// Resolves when the connection has to end.
    guard: Pin<Box<dyn Future<Output = ErrorKind> + Send>>,
    ended: Option<ErrorKind>,
    answers: Answers,
    read_limit: Duration,
    probes: Probes,
    cut: CancellationToken,
    _slot: OwnedSemaphorePermit,
    _open: Arc<()>,
}

impl Connection {
    /// The same, after it was accepted by another runtime than this one, which serves it.
    pub(super) fn taken_over(self) -> io::Result<Self> {
        let stream = TcpStream::from_std(self.stream.into_std()?)?;
        Ok(Self { stream, ..self })
    }

    /// Its answers that wait to be read.
    pub(super) fn answers(&self) -> Answers {
        self.answers.clone()
    }

    /// Fails if the connection has to end, and otherwise has the task woken when it has
    /// to.
    fn poll_guard(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.ended.is_none()
            && let Poll::Ready(kind) = self.guard.as_mut().poll(cx)
        {
            self.ended = Some(kind);
        }
        self.ended.map_or(Ok(()), |kind| Err(kind.into()))
    }

    /// Fails if the connection has to end. Who writes HTTP/2 reads all the time, and is
    /// woken for that; who writes HTTP/1.1 may leave requests unread that came early.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.speech == Speech::Http1 {
            return self.poll_guard(cx);
        }
        if self.cut.is_cancelled() {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }

    /// Takes note of the first bytes. From then on others see to it that the client goes
    /// on: PINGs, and over HTTP/1.1 the time that the head of a request may take.
    fn hear(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> io::Result<()> {
        self.speech = self.speech.heard(bytes);
        match self.speech {
            Speech::Preface(_) => return Ok(()),
            Speech::Http2 => {}
            Speech::Http1 => {
                // Without probes it works as well, only longer than it has to.
                let _ = self.probes.begin(&self.stream);
            }
        }
        let (answers, cut) = (self.answers.clone(), self.cut.clone());
        self.guard = Box::pin(read_within(self.read_limit, answers, cut));
        // It is not certain that another read follows, which would have the task woken.
        self.poll_guard(cx)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.poll_guard(cx)?;
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        if matches!(this.speech, Speech::Preface(_)) {
            this.hear(&buf.filled()[before..], cx)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check(cx)?;
        Pin::new(&mut this.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check(cx)?;
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

#[cfg(test)]
mod tests {
    use rustix::net::sockopt;

    use super::{super::speech::PREFACE, *};

    #[tokio::test]
    async fn a_client_of_http_1_is_probed_which_sends_no_pings() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let settings = ServerSettings::default();
        let connections = Connections::new(&settings);
        let listener = listen(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut accepted = Box::pin(connections.accept(listener));

        for (said, probed) in [(PREFACE, false), (&b"POST"[..], true)] {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(said).await.unwrap();
            let mut server = futures::StreamExt::next(&mut accepted).await.unwrap();
            server.read_exact(&mut vec![0; said.len()]).await.unwrap();

            assert_eq!(sockopt::socket_keepalive(&server.stream), Ok(probed));
            if probed {
                let idle = sockopt::tcp_keepidle(&server.stream);
                assert_eq!(idle, Ok(settings.keepalive_interval));
            }
        }
    }
}
