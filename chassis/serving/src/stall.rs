//! Detects clients that stop reading.
//!
//! With the flow control of HTTP/2 a client can block a response for ever by never opening its
//! window. The response holds memory, and its body, which enforces the deadline, is not polled.
//! So the connection checks periodically: a response that is pending in two checks means that
//! the client has stalled.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::sleep;

/// The pending responses of a connection. Copies count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct StallDetector(Arc<Ticks>);

#[derive(Debug, Default)]
struct Ticks {
    /// The number of checks.
    count: AtomicUsize,
    /// The responses that are pending since an even number of checks, and an odd one.
    waiting: [AtomicUsize; 2],
}

/// A response that is pending until this is dropped.
#[derive(Debug)]
pub(crate) struct PendingResponse {
    ticks: Arc<Ticks>,
    parity: usize,
}

impl StallDetector {
    /// Tracks another response, which may take one to two times the time between two checks.
    pub(crate) fn track_response(&self) -> PendingResponse {
        let ticks = Arc::clone(&self.0);
        let parity = ticks.count.load(Ordering::Relaxed) % 2;
        ticks.waiting[parity].fetch_add(1, Ordering::Relaxed);
        PendingResponse { ticks, parity }
    }

    /// Waits until a response was not read for as long as `limit`.
    pub(crate) async fn wait_for_stall(&self, limit: Duration) {
        loop {
            sleep(limit).await;
            if self.tick() {
                return;
            }
        }
    }

    /// Checks whether a response is pending that was so at the last check.
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
    fn an_answer_that_waits_between_two_looks_is_stalled() {
        let detector = StallDetector::default();
        let response = detector.track_response();

        assert!(!detector.tick());
        assert!(detector.tick());
        drop(response);
        assert!(!detector.tick());
    }

    #[test]
    fn answers_that_are_read_in_time_are_not_however_many_follow() {
        let detector = StallDetector::default();
        let mut last = detector.track_response();

        for _ in 0..10 {
            assert!(!detector.tick());
            last = detector.track_response();
        }
        drop(last);
    }
}
