//! Accepts connections: at most as many as the settings allow, and each with a way to end it.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures::Stream;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;

use super::{
    http_io::HttpIoLimits,
    socket::{Socket, TcpKeepalive},
};
use process::Failure;

use crate::settings::ServerSettings;

/// How long to wait after the first failure to accept, and after any in a row at the
/// most: with no descriptors left, each further attempt fails at once.
const ACCEPT_BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

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

/// The connections of a server.
#[derive(Debug)]
pub(crate) struct Connections {
    slots: Arc<Semaphore>,
    limits: HttpIoLimits,
    keepalive: TcpKeepalive,
    /// Each open connection has a copy.
    open: Arc<()>,
    /// Cancelled when all have to end.
    all: CancellationToken,
}

impl Connections {
    /// None yet, and never more than the settings say.
    pub(crate) fn new(settings: &ServerSettings) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(settings.max_connections.get())),
            limits: HttpIoLimits {
                header_read_timeout: settings.header_read_timeout,
                read_limit: settings.call_timeout,
                close_unidentified: CancellationToken::new(),
            },
            keepalive: TcpKeepalive::from_settings(settings),
            open: Arc::new(()),
            all: CancellationToken::new(),
        }
    }

    /// How many are open.
    pub(crate) fn open(&self) -> usize {
        Arc::strong_count(&self.open) - 1
    }

    /// Returns the limits of each connection.
    pub(crate) fn limits(&self) -> HttpIoLimits {
        self.limits.clone()
    }

    /// Closes the connections whose version of HTTP is not known, now and from now on.
    pub(crate) fn close_unidentified(&self) {
        self.limits.close_unidentified.cancel();
    }

    /// Aborts all connections, in the middle of whatever they do.
    pub(crate) fn abort_all(&self) {
        self.all.cancel();
    }

    /// The connections that `listener` accepts, without an end. At the cap none is
    /// accepted until one closes; it waits in the backlog of the listener.
    pub(crate) fn accept(&self, listener: TcpListener) -> impl Stream<Item = Socket> + use<> {
        let slots = Arc::clone(&self.slots);
        // A copy that belongs to no connection must not count.
        let open = Arc::downgrade(&self.open);
        let (keepalive, all) = (self.keepalive, self.all.clone());
        async_stream::stream! {
            let mut full = false;
            while let Some(slot) = acquire_permit(&slots, &mut full).await {
                let stream = accept_with_backoff(&listener).await;
                let Some(open) = open.upgrade() else { return };
                yield Socket::new(stream, keepalive, all.child_token(), slot, open);
            }
        }
    }
}

/// Nobody is left to serve them.
impl Drop for Connections {
    fn drop(&mut self) {
        self.abort_all();
    }
}

/// Room for one connection. `full` says whether there was none the last time, so that
/// the log gets one line each time that the cap is reached.
async fn acquire_permit(slots: &Arc<Semaphore>, full: &mut bool) -> Option<OwnedSemaphorePermit> {
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
async fn accept_with_backoff(listener: &TcpListener) -> TcpStream {
    let (first, longest) = ACCEPT_BACKOFF;
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
