//! The time of day, in microseconds as the database stores it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, SubsecRound, Utc};

/// A clock with microsecond resolution: that of the machine, or a manual one for tests.
#[derive(Clone, Debug)]
pub struct Clock(TimeSource);

#[derive(Clone, Debug)]
enum TimeSource {
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// Returns the clock of the machine.
    #[must_use]
    pub fn system() -> Self {
        Self(TimeSource::System)
    }

    /// Returns a clock that stays at `time` until it is advanced.
    #[must_use]
    pub fn manual(time: DateTime<Utc>) -> Self {
        Self(TimeSource::Manual(Arc::new(AtomicI64::new(
            time.timestamp_micros(),
        ))))
    }

    /// Returns the current time, in whole microseconds.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            TimeSource::System => Utc::now().trunc_subsecs(6),
            TimeSource::Manual(micros) => {
                DateTime::from_timestamp_micros(micros.load(Ordering::Relaxed))
                    .unwrap_or(DateTime::UNIX_EPOCH)
            }
        }
    }

    /// Advances a manual clock and all clones of it. Has no effect on the clock of the machine.
    pub fn advance(&self, by: Duration) {
        if let TimeSource::Manual(micros) = &self.0 {
            let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
            micros.fetch_add(by, Ordering::Relaxed);
        }
    }
}
