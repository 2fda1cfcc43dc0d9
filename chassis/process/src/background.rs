//! Background tasks whose end is noticed.

use std::future::Future;

use tokio_util::sync::CancellationToken;

use crate::ExitError;

/// The work that a process does beside the calls that it serves.
#[derive(Clone, Debug)]
pub struct Background {
    what: &'static str,
    // Cancelled if any of it ended by a panic.
    failed: CancellationToken,
}

impl Background {
    /// Work that the log names `what`.
    #[must_use]
    pub fn new(what: &'static str) -> Self {
        Self {
            what,
            failed: CancellationToken::new(),
        }
    }

    /// Does `work`, which has no end of its own, in a task until `end`.
    pub fn spawn(&self, end: CancellationToken, work: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(self.supervised(async move {
            end.run_until_cancelled(work).await;
        }));
    }

    /// The same `work`, which is noticed if it ends by a panic.
    pub fn supervised(
        &self,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let failed = self.failed.clone().drop_guard();
        async move {
            work.await;
            // After a panic the guard is dropped as it is.
            failed.disarm();
        }
    }

    /// Waits for the end of any of it, which comes before its time only by a fault of ours:
    /// a process that goes on would serve less than it promises.
    pub async fn failed(&self) -> ExitError {
        self.failed.cancelled().await;
        ExitError::Failed(format!("{} ended by itself; the log tells why", self.what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_panics_is_noticed_and_work_that_is_ended_is_not() {
        let (fine, faulty) = (Background::new("fine"), Background::new("faulty"));
        let end = CancellationToken::new();

        fine.spawn(end.clone(), std::future::pending());
        faulty.spawn(end.clone(), async { panic!("on purpose") });
        let failure = faulty.failed().await;
        end.cancel();
        tokio::task::yield_now().await;

        assert!(matches!(failure, ExitError::Failed(_)));
        assert!(!fine.failed.is_cancelled());
    }
}
