//! Detects clients that stop reading.
//!
//! With HTTP/2 flow control a client can block a response forever by not opening its window. The
//! response holds memory, and its body, which enforces the deadline, is not polled. Therefore the
//! connection checks periodically: if a response is pending in two consecutive checks, the client
//! has stalled.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::sleep;

/// Counts the pending responses of a connection. Clones share the counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct StallDetector(Arc<Ticks>);

#[derive(Debug, Default)]
struct Ticks {
    /// The number of checks.
    count: AtomicUsize,
    /// The pending responses that started after an even and after an odd number of checks.
    waiting: [AtomicUsize; 2],
}

/// A pending response. Dropping this ends it.
#[derive(Debug)]
pub(crate) struct PendingResponse {
    ticks: Arc<Ticks>,
    parity: usize,
}

impl StallDetector {
    /// Tracks another response. It counts as stalled after one to two check intervals.
    pub(crate) fn track_response(&self) -> PendingResponse {
        let ticks = Arc::clone(&self.0);
        let parity = ticks.count.load(Ordering::Relaxed) % 2;
        ticks.waiting[parity].fetch_add(1, Ordering::Relaxed);
        PendingResponse { ticks, parity }
    }

    /// Waits until a response was pending for at least `limit`. Checks at that interval.
    pub(crate) async fn wait_for_stall(&self, limit: Duration) {
        loop {
            sleep(limit).await;
            if self.tick() {
                return;
            }
        }
    }

    /// Reports whether a response is pending that was pending at the last check, too.
    fn tick(&self) -> bool {
        let ticks = &self.0;
        let before = ticks.count.load(Ordering::Relaxed) + 1;
        let stalled = ticks.waiting[before % 2].load(Ordering::Relaxed) > 0;
        if !stalled {
            ticks.count.store(before, Ordering::Relaxed);
        }
        stalled
    }
}

impl Drop for PendingResponse {
    fn drop(&mut self) {
        self.ticks.waiting[self.parity].fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_pending_in_two_checks_is_stalled() {
        let detector = StallDetector::default();
        let response = detector.track_response();

        assert!(!detector.tick());
        assert!(detector.tick());
        drop(response);
        assert!(!detector.tick());
    }

    #[test]
    fn responses_that_are_read_between_checks_are_not_stalled() {
        let detector = StallDetector::default();
        let mut last = detector.track_response();

        for _ in 0..10 {
            assert!(!detector.tick());
            last = detector.track_response();
        }
        drop(last);
    }
}
