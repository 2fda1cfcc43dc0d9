//! Supervised background tasks: a panic in one of them ends the process.

use std::future::Future;

use tokio_util::sync::CancellationToken;

use crate::ExitError;

/// A group of background tasks.
#[derive(Clone, Debug)]
pub struct Background {
    name: &'static str,
    // Cancelled when one of the tasks panics.
    failed: CancellationToken,
}

impl Background {
    /// Returns an empty group, which the log calls `name`.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            failed: CancellationToken::new(),
        }
    }

    /// Spawns the endless `work` as a task, which is cancelled by `end`.
    pub fn spawn(&self, end: CancellationToken, work: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(self.supervised(async move {
            end.run_until_cancelled(work).await;
        }));
    }

    /// Supervises `work`: [`Background::failed`] returns if it panics.
    pub fn supervised(
        &self,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let failed = self.failed.clone().drop_guard();
        async move {
            work.await;
            // A panic drops the guard while it is still armed.
            failed.disarm();
        }
    }

    /// Waits until a task panics, which is a bug. The process must end then, since it would
    /// otherwise run without that task.
    pub async fn failed(&self) -> ExitError {
        self.failed.cancelled().await;
        ExitError::Failed(format!("{} panicked; the log has the message", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_panic_fails_the_group() {
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
