//! Limits the log lines of calls that a limit refuses. A client can cause many of them, and each line
//! takes time from other clients.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

/// The interval at which the calls without a line of their own are counted in one line.
const INTERVAL: Duration = Duration::from_secs(1);

/// Reports whether `reason` is that of a limit.
pub(super) fn is_limit(reason: Option<&str>) -> bool {
    matches!(reason, Some("MEMORY_LIMIT" | "OVERLOADED"))
}

/// Counts the calls that limits refused.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog {
    /// A task logs the count at the next interval.
    counting: AtomicBool,
    refused: AtomicUsize,
}

impl RefusalLog {
    /// Reports whether a refused call is logged by a line of its own. Otherwise it is counted. Needs
    /// a runtime.
    pub(super) fn admits(self: &Arc<Self>) -> bool {
        if self.counting.swap(true, Relaxed) {
            self.refused.fetch_add(1, Relaxed);
            return false;
        }
        let this = Arc::clone(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(INTERVAL).await;
                let refused = this.refused.swap(0, Relaxed);
                if refused == 0 {
                    this.counting.store(false, Relaxed);
                    return;
                }
                tracing::warn!(refused, "further calls refused by a limit");
            }
        });
        true
    }
}
