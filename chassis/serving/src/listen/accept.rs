//! Listens and accepts connections: at most `MAX_CONNECTIONS` at a time.
//!
//! It does not read from them. Every connection can be aborted from here, so that a drain ends.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures::Stream;
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::{
    http_io::HttpIoLimits,
    socket::{Socket, TcpKeepalive},
};
use process::ExitError;

use crate::{limiter::Limiter, settings::ServerSettings};

/// The first and the longest delay between attempts to accept after a failure. Without a delay,
/// accepting would fail in a busy loop while the process has no file descriptor left.
const ACCEPT_BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// The bytes that the kernel buffers of each connection and direction: the default flow-control
/// window of HTTP/2. Linux takes twice as much memory. Its own limits are 4 and 6 MB, which 512
/// connections multiply.
const SOCKET_BUFFER: usize = 65_536;

/// Listens on `address`. Port 0 takes any free port.
///
/// # Errors
///
/// [`ExitError::Config`] if the address cannot be used, as when another process listens on the
/// port. [`ExitError::Failed`] for any other reason.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ExitError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => ExitError::Config(format!(
                "{address} is in use: another process listens there; stop it, or listen on another \
             port"
            )),
            ErrorKind::AddrNotAvailable => ExitError::Config(format!(
                "{address} is not an address of this machine; listen on 127.0.0.1 for this machine \
             only, or on 0.0.0.0 for every network"
            )),
            ErrorKind::PermissionDenied => ExitError::Config(format!(
                "{address} needs a privilege that this process lacks; listen on port 1024 or higher"
            )),
            _ => ExitError::Failed(format!("cannot listen on {address}: {error}")),
        })
}

/// Returns the address at which this machine reaches a server that listens on `address`: the
/// loopback address, if that is every address of the machine.
#[must_use]
pub fn loopback_for_unspecified(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// The connections of a server. Dropping this aborts them.
#[derive(Debug)]
pub(crate) struct Connections {
    limiter: Arc<Limiter>,
    limits: HttpIoLimits,
    keepalive: TcpKeepalive,
    /// Each open connection holds a clone, which counts it.
    open: Arc<()>,
    /// Cancelled to abort all connections.
    abort: CancellationToken,
}

impl Connections {
    /// Starts without connections, with the limits of `settings`.
    pub(crate) fn new(settings: &ServerSettings, limiter: Arc<Limiter>) -> Self {
        Self {
            limiter,
            limits: HttpIoLimits {
                header_read_timeout: settings.header_read_timeout,
                read_limit: settings.call_timeout,
                close_unidentified: CancellationToken::new(),
            },
            keepalive: TcpKeepalive::from_settings(settings),
            open: Arc::new(()),
            abort: CancellationToken::new(),
        }
    }

    /// Returns the number of open connections.
    pub(crate) fn open(&self) -> usize {
        Arc::strong_count(&self.open) - 1
    }

    /// Returns the limits of each connection.
    pub(crate) fn limits(&self) -> HttpIoLimits {
        self.limits.clone()
    }

    /// Closes the connections whose HTTP version is unknown, including those accepted later.
    pub(crate) fn close_unidentified(&self) {
        self.limits.close_unidentified.cancel();
    }

    /// Aborts all connections, even while calls run on them.
    pub(crate) fn abort_all(&self) {
        self.abort.cancel();
    }

    /// Returns an endless stream of the connections that `listener` accepts. While the limit is
    /// reached and calls run on all of them, new connections wait in the accept backlog.
    pub(crate) fn accept(&self, listener: TcpListener) -> impl Stream<Item = Socket> + use<> {
        // A strong clone would count as a connection.
        let open = Arc::downgrade(&self.open);
        let (keepalive, abort) = (self.keepalive, self.abort.clone());
        limit_buffers(&listener);
        let limiter = Arc::clone(&self.limiter);
        async_stream::stream! {
            let mut is_full = false;
            loop {
                let stream = accept_with_backoff(&listener).await;
                let admitted = limiter.admit_connection(abort.child_token(), &mut is_full).await;
                let (Some(connection), Some(open)) = (admitted, open.upgrade()) else { return };
                yield Socket::new(stream, keepalive, connection, open);
            }
        }
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.abort_all();
    }
}

/// Limits the kernel's buffers of the connections that `listener` accepts, which inherit its options.
fn limit_buffers(listener: &TcpListener) {
    // If this fails, the kernel's limits apply.
    let _ = sockopt::set_socket_send_buffer_size(listener, SOCKET_BUFFER);
    let _ = sockopt::set_socket_recv_buffer_size(listener, SOCKET_BUFFER);
}

/// Accepts the next connection. Retries with a backoff until that succeeds.
async fn accept_with_backoff(listener: &TcpListener) -> TcpStream {
    let (first, longest) = ACCEPT_BACKOFF;
    let mut delay = None;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if delay.is_some() {
                    tracing::info!("accepting connections again");
                }
                // Without TCP_NODELAY, small responses wait for the client's acknowledgements.
                // It fails if the connection is closed already, which the next read reports.
                let _ = stream.set_nodelay(true);
                return stream;
            }
            // The client closed the connection before it was accepted: the listener works.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionAborted
                        | ErrorKind::ConnectionReset
                        | ErrorKind::Interrupted
                ) => {}
            Err(error) => {
                if delay.is_none() {
                    tracing::error!(%error, "accept failed; retrying");
                }
                let next = delay.map_or(first, |last: Duration| (last * 2).min(longest));
                delay = Some(next);
                tokio::time::sleep(next).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unspecified_address_becomes_the_loopback_address() {
        for (listens, reached) in [
            ("0.0.0.0:5", "127.0.0.1:5"),
            ("[::]:5", "[::1]:5"),
            ("192.0.2.1:5", "192.0.2.1:5"),
        ] {
            let address = loopback_for_unspecified(listens.parse().unwrap());

            assert_eq!(address, reached.parse().unwrap());
        }
    }
}
