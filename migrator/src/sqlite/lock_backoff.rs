//! Waits, with a deadline, for other processes that use the database.
//!
//! SQLite's busy handler pauses ever longer, so it starves beside a busy writer. These pauses
//! start short and are jittered, so that no two processes stay in step. For the write lock, the
//! migrator also queues in the fair lock of the services' writers.

use std::{
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

use database::sqlite::{Acquire, FairLock};

use crate::state::error::DatabaseError;

/// The first pause: about the gap that a busy writer leaves between two transactions.
const FIRST_PAUSE: Duration = Duration::from_micros(20);

/// The longest pause: about the duration of a service's transaction.
const LONGEST_PAUSE: Duration = Duration::from_millis(5);

/// The resolution of the runtime's timer. For shorter pauses, a blocking thread sleeps.
const TIMER_RESOLUTION: Duration = Duration::from_millis(1);

/// The bounded wait of a run for other processes.
#[derive(Debug)]
pub(crate) struct LockBackoff {
    limit: Duration,
    /// `None` if the deadline is beyond the range of the clock.
    deadline: Option<Instant>,
    pause: Duration,
}

impl LockBackoff {
    /// Starts a wait of `limit`, over all its pauses.
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            deadline: Instant::now().checked_add(limit),
            pause: FIRST_PAUSE,
        }
    }

    /// Pauses before the next attempt.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Locked`] once the limit is reached.
    pub(crate) async fn pause(&mut self) -> Result<(), DatabaseError> {
        let mut pause = jittered(self.pause);
        if let Some(left) = self.left() {
            if left.is_zero() {
                return Err(DatabaseError::Locked(self.limit));
            }
            // The last attempt is made at the deadline.
            pause = pause.min(left);
        }
        if self.pause == FIRST_PAUSE {
            tracing::debug!("waiting for another process that uses the database");
        }
        self.pause = LONGEST_PAUSE.min(self.pause * 2);
        sleep(pause).await;
        Ok(())
    }

    /// Returns the attempts to take the write lock, queued with the other writing processes.
    pub(crate) fn attempts<'a>(&'a self, fair_lock: &'a mut FairLock) -> Attempts<'a> {
        Attempts {
            backoff: self,
            acquire: fair_lock.acquire(),
            begun: false,
            last: false,
        }
    }

    /// Returns the time until the deadline, or `None` without a deadline.
    fn left(&self) -> Option<Duration> {
        let deadline = self.deadline?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }
}

/// The attempts to take the write lock. Dropping them releases the place in the fair lock.
#[derive(Debug)]
pub(crate) struct Attempts<'a> {
    backoff: &'a LockBackoff,
    acquire: Acquire<'a>,
    begun: bool,
    last: bool,
}

impl Attempts<'_> {
    /// Waits until this process may try to take the write lock. The last attempt is made at the
    /// deadline, even out of turn.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Locked`] after the last attempt.
    pub(crate) async fn next(&mut self) -> Result<(), DatabaseError> {
        loop {
            if self.last {
                return Err(DatabaseError::Locked(self.backoff.limit));
            }
            if self.begun {
                self.acquire.pause().await;
            }
            self.begun = true;
            self.last = self.backoff.left().is_some_and(|left| left.is_zero());
            if self.acquire.try_acquire() || self.last {
                return Ok(());
            }
        }
    }
}

/// Returns a random duration from half of `pause` to all of it.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(()) % 1_000;
    let half = pause / 2;
    // The random number is below 1,000, so it fits.
    half + half * u32::try_from(random).unwrap_or_default() / 1_000
}

async fn sleep(pause: Duration) {
    if pause < TIMER_RESOLUTION {
        // If the task fails, the next attempt only comes sooner.
        let _ = tokio::task::spawn_blocking(move || std::thread::sleep(pause)).await;
    } else {
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn locks() -> (TempDir, FairLock, FairLock) {
        let directory = TempDir::new().unwrap();
        let database = directory.path().join("microblog.db");
        let (one, other) = (FairLock::new(&database), FairLock::new(&database));
        (directory, one, other)
    }

    #[tokio::test]
    async fn an_attempt_queues_for_the_fair_lock_and_holds_it() {
        let (_directory, mut service, mut migrator) = locks();
        let backoff = LockBackoff::new(Duration::MAX);
        let mut attempts = backoff.attempts(&mut migrator);
        let mut writing = service.acquire();
        assert!(writing.try_acquire());

        let (next, ()) = tokio::join!(attempts.next(), async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            drop(writing);
        });

        next.unwrap();
        assert!(!service.acquire().try_acquire());
        drop(attempts);
        assert!(service.acquire().try_acquire());
    }

    #[tokio::test]
    async fn a_suspended_holder_does_not_block_attempts() {
        let (_directory, mut frozen, mut migrator) = locks();
        let mut never_released = frozen.acquire();
        assert!(never_released.try_acquire());
        let backoff = LockBackoff::new(Duration::MAX);

        let attempt = tokio::time::timeout(Duration::from_secs(10), async {
            backoff.attempts(&mut migrator).next().await
        });

        attempt.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_zero_limit_allows_one_attempt_out_of_turn() {
        let (_directory, mut service, mut migrator) = locks();
        let mut writing = service.acquire();
        assert!(writing.try_acquire());
        let backoff = LockBackoff::new(Duration::ZERO);
        let mut attempts = backoff.attempts(&mut migrator);

        assert!(attempts.next().await.is_ok());
        assert!(matches!(
            attempts.next().await,
            Err(DatabaseError::Locked(Duration::ZERO))
        ));
    }

    #[test]
    fn a_pause_is_jittered_to_at_least_half() {
        for _ in 0..100 {
            let pause = jittered(LONGEST_PAUSE);

            assert!(
                pause >= LONGEST_PAUSE / 2 && pause <= LONGEST_PAUSE,
                "{pause:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_zero_limit_times_out_without_a_pause() {
        let mut backoff = LockBackoff::new(Duration::ZERO);

        assert!(matches!(
            backoff.pause().await,
            Err(DatabaseError::Locked(Duration::ZERO))
        ));
    }

    #[tokio::test]
    async fn an_unlimited_wait_continues() {
        let mut backoff = LockBackoff::new(Duration::MAX);

        assert!(backoff.pause().await.is_ok());
    }
}
