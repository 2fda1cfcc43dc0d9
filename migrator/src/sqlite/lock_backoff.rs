//! Waiting for another process that uses the database, always with a bound.
//!
//! SQLite's own busy handler pauses ever longer, and so starves beside a process that
//! writes all the time. These pauses begin short, and no two processes keep step.

use std::{
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

/// The first pause: about as long as a busy writer leaves between two transactions.
const FIRST_PAUSE: Duration = Duration::from_micros(20);

/// The longest pause. Beside two processes that write without a pause, a migrator came in
/// within half a second like this, and with 50 ms within four.
const LONGEST_PAUSE: Duration = Duration::from_millis(5);

/// Below this the timer of the runtime is too coarse, and a thread sleeps instead.
const TIMER_RESOLUTION: Duration = Duration::from_millis(1);

/// The limit of a wait, which is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimedOut(pub(crate) Duration);

/// How long a run still waits for others.
#[derive(Debug)]
pub(crate) struct Wait {
    limit: Duration,
    /// `None` if it lies beyond what the clock can say.
    deadline: Option<Instant>,
    pause: Duration,
}

impl Wait {
    /// Waits up to `limit` in all, from now.
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
    /// [`TimedOut`] once the limit is reached.
    pub(crate) async fn pause(&mut self) -> Result<(), TimedOut> {
        let mut pause = jittered(self.pause);
        if let Some(deadline) = self.deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(TimedOut(self.limit));
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
}

/// Between a half of `pause` and all of it.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(()) % 1_000;
    let half = pause / 2;
    // Below 1,000, so it fits.
    half + half * u32::try_from(random).unwrap_or_default() / 1_000
}

async fn sleep(pause: Duration) {
    if pause < TIMER_RESOLUTION {
        // A sleep that is cut short only makes the next attempt come sooner.
        let _ = tokio::task::spawn_blocking(move || std::thread::sleep(pause)).await;
    } else {
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_jittered_downwards_by_a_half_at_most() {
        for _ in 0..100 {
            let pause = jittered(LONGEST_PAUSE);

            assert!(
                pause >= LONGEST_PAUSE / 2 && pause <= LONGEST_PAUSE,
                "{pause:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_wait_without_time_ends_at_once() {
        let mut wait = Wait::new(Duration::ZERO);

        assert!(matches!(wait.pause().await, Err(TimedOut(Duration::ZERO))));
    }

    #[tokio::test]
    async fn a_wait_without_end_goes_on() {
        let mut wait = Wait::new(Duration::MAX);

        assert!(wait.pause().await.is_ok());
    }
}
