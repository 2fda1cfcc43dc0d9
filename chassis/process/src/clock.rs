//! The time of day, in the unit that the database keeps.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, SubsecRound, Utc};

/// Says what time it is, to the microsecond: the machine's clock, or one that a test
/// sets.
#[derive(Clone, Debug)]
pub struct Clock(TimeSource);

#[derive(Clone, Debug)]
enum TimeSource {
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(TimeSource::System)
    }

    /// A clock that stands still at `time` until it is told otherwise.
    #[must_use]
    pub fn manual(time: DateTime<Utc>) -> Self {
        Self(TimeSource::Manual(Arc::new(AtomicI64::new(
            time.timestamp_micros(),
        ))))
    }

    /// Now, in whole microseconds.
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

    /// Puts a manual clock, and every copy of it, forward. The machine's is left alone.
    pub fn advance(&self, by: Duration) {
        if let TimeSource::Manual(micros) = &self.0 {
            let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
            micros.fetch_add(by, Ordering::Relaxed);
        }
    }
}
