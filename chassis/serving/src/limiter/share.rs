//! The share of one connection: its account, its calls, and its place.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::Limiter;
use crate::{budget::Account, stall::StallDetector};

/// The part of the limits that one connection uses.
#[derive(Debug)]
pub(crate) struct Share {
    pub(super) limiter: Arc<Limiter>,
    /// The bytes that the connection holds.
    pub(super) account: Arc<Account>,
    /// The number of calls whose request is complete.
    running: AtomicUsize,
    /// The time when the last call ended, in milliseconds since the start of the server.
    pub(super) idle_since: AtomicU64,
    /// The connection serves health and reflection only.
    pub(super) in_reserve: AtomicBool,
    /// The place of the connection.
    pub(super) permit: Mutex<Option<OwnedSemaphorePermit>>,
    /// Closes the connection after its running calls.
    pub(super) close: CancellationToken,
    /// Tracks the responses that the client does not read.
    pub(crate) stall: StallDetector,
}

impl Share {
    pub(super) fn new(limiter: Arc<Limiter>, abort: CancellationToken) -> Self {
        Self {
            running: AtomicUsize::new(0),
            idle_since: AtomicU64::new(limiter.now()),
            in_reserve: AtomicBool::new(false),
            permit: Mutex::default(),
            account: limiter.budget.open_account(abort),
            limiter,
            close: CancellationToken::new(),
            stall: StallDetector::default(),
        }
    }

    /// Counts a call whose request is complete, until [`Share::end_call`].
    pub(super) fn start_call(&self) {
        self.running.fetch_add(1, Relaxed);
    }

    pub(super) fn end_call(&self) {
        self.idle_since.store(self.limiter.now(), Relaxed);
        self.running.fetch_sub(1, Relaxed);
    }

    /// Reports whether no call runs. An incomplete request does not count: otherwise a client could
    /// keep its connections with requests that it never completes.
    pub(super) fn is_idle(&self) -> bool {
        self.running.load(Relaxed) == 0
    }

    /// Returns the token that aborts the connection.
    pub(crate) fn abort_signal(&self) -> CancellationToken {
        self.account.abort.clone()
    }

    /// Waits until the connection has to close.
    pub(crate) async fn closing(&self) {
        self.close.cancelled().await;
    }

    /// Reports whether the connection is aborted or has to close.
    pub(super) fn is_ending(&self) -> bool {
        self.is_aborted() || self.close.is_cancelled()
    }

    /// Aborts the connection.
    pub(crate) fn abort(&self) {
        self.account.abort.cancel();
    }

    /// Reports whether the connection is aborted.
    pub(crate) fn is_aborted(&self) -> bool {
        self.account.abort.is_cancelled()
    }
}
