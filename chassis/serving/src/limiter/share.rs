//! The share of one connection: the bytes that it holds.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::{Limiter, MemoryLimit};
use crate::stall::StallDetector;

/// The part of the limits that one connection uses.
#[derive(Debug)]
pub(crate) struct Share {
    pub(super) limiter: Arc<Limiter>,
    /// The bytes that the connection holds.
    used: AtomicUsize,
    /// The number of calls whose request is complete.
    running: AtomicUsize,
    /// The time when the last call ended, in milliseconds since the start of the server.
    pub(super) idle_since: AtomicU64,
    /// The connection serves health and reflection only.
    pub(super) in_reserve: AtomicBool,
    /// The place of the connection.
    pub(super) permit: Mutex<Option<OwnedSemaphorePermit>>,
    /// Aborts the connection.
    pub(super) abort: CancellationToken,
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
            limiter,
            used: AtomicUsize::new(0),
            abort,
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
        self.abort.clone()
    }

    /// Reports whether the connection is aborted.
    pub(crate) fn is_aborted(&self) -> bool {
        self.abort.is_cancelled()
    }

    /// Returns the bytes that the connection holds.
    pub(super) fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// Reserves `bytes`, which [`Share::release`] returns.
    ///
    /// # Errors
    ///
    /// [`MemoryLimit`] if the share or the budget of the server does not have them.
    pub(super) fn reserve(&self, bytes: usize) -> Result<(), MemoryLimit> {
        let limiter = &*self.limiter;
        let before = self.used.fetch_add(bytes, Relaxed);
        let used = before + bytes;
        // Both counters are raised before the check, so that they agree if several threads reserve.
        let from_pool = used.saturating_sub(before.max(limiter.guaranteed_bytes));
        let pool_used = match from_pool {
            0 => 0,
            _ => limiter.pool_used.fetch_add(from_pool, Relaxed) + from_pool,
        };
        let fits_share = used <= limiter.max_share;
        if fits_share && (from_pool == 0 || limiter.admits(pool_used, used)) {
            return Ok(());
        }
        self.release(bytes);
        Err(MemoryLimit)
    }

    /// Returns `bytes` that were reserved.
    pub(super) fn release(&self, bytes: usize) {
        let limiter = &*self.limiter;
        let before = self.used.fetch_sub(bytes, Relaxed);
        let rest = (before - bytes).max(limiter.guaranteed_bytes);
        let to_pool = before.saturating_sub(rest);
        if to_pool > 0 {
            limiter.pool_used.fetch_sub(to_pool, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::settings::ServerSettings;

    /// Returns a limiter of 4000 bytes: each of 2 + 8 connections has 100 bytes, and at most 1000.
    fn limiter() -> Arc<Limiter> {
        Limiter::new(&ServerSettings {
            max_buffered_bytes: NonZeroUsize::new(4000).unwrap(),
            max_connections: NonZeroUsize::MIN.saturating_add(1),
            ..ServerSettings::default()
        })
    }

    fn shares<const N: usize>(limiter: &Arc<Limiter>) -> [Arc<Share>; N] {
        [(); N].map(|()| limiter.add_share(CancellationToken::new()))
    }

    fn aborted(shares: &[Arc<Share>]) -> Vec<bool> {
        let aborted = shares.iter().map(|share| share.abort.is_cancelled());
        aborted.collect()
    }

    #[test]
    fn a_connection_holds_at_most_a_quarter_of_the_budget() {
        let limiter = limiter();
        let [share, other] = shares(&limiter);

        assert_eq!(share.reserve(1000), Ok(()));
        assert_eq!(share.reserve(1), Err(MemoryLimit));
        assert_eq!(other.reserve(1000), Ok(()));
        share.release(500);
        assert_eq!(share.reserve(500), Ok(()));
    }

    #[test]
    fn an_exhausted_pool_aborts_the_largest_connection_only() {
        let limiter = limiter();
        let shares: [_; 4] = shares(&limiter);
        for (share, bytes) in shares.iter().zip([900, 950, 300, 100]) {
            assert_eq!(share.reserve(bytes), Ok(()));
        }

        // 800 + 850 + 200 of 2000 bytes are taken from the pool.
        assert_eq!(shares[2].reserve(200), Err(MemoryLimit));
        assert_eq!(aborted(&shares), [false, true, false, false]);
        // The aborted connection has not released its bytes yet.
        assert_eq!(shares[3].reserve(150), Ok(()));
        assert_eq!(aborted(&shares), [false, true, false, false]);
    }

    #[test]
    fn every_connection_keeps_its_guaranteed_bytes() {
        let limiter = limiter();
        let shares: [_; 10] = shares(&limiter);
        for share in &shares[..9] {
            let _ = share.reserve(1000);
        }

        assert_eq!(shares[9].reserve(100), Ok(()));
    }

    #[test]
    fn released_bytes_return_to_the_pool() {
        let limiter = limiter();
        let [one, other] = shares(&limiter);

        for bytes in [50, 60, 500] {
            assert_eq!(one.reserve(bytes), Ok(()));
            assert_eq!(other.reserve(2000), Err(MemoryLimit));
        }
        one.release(560);
        one.release(50);

        assert_eq!((one.used(), other.used()), (0, 0));
        assert_eq!(limiter.pool_used.load(Relaxed), 0);
    }
}
