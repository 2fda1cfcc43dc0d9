//! `google.protobuf.Timestamp` from and to `chrono`'s times.

use chrono::{DateTime, Utc};
use prost_types::Timestamp;

/// The time as it travels: whole seconds and the nanoseconds within them, which are
/// never negative, for times before 1970 neither.
#[must_use]
pub fn encode(time: DateTime<Utc>) -> Timestamp {
    Timestamp {
        seconds: time.timestamp(),
        // A leap second, which chrono counts as nanoseconds beyond the last one, is
        // smeared into the second before it: the wire allows no more.
        nanos: i32::try_from(time.timestamp_subsec_nanos().min(999_999_999)).unwrap_or(999_999_999),
    }
}

/// The time that travelled, or `None` where no time can be meant: nanoseconds out of
/// their range, or a year beyond those that chrono knows.
#[must_use]
pub fn decode(timestamp: Timestamp) -> Option<DateTime<Utc>> {
    let nanos = u32::try_from(timestamp.nanos)
        .ok()
        .filter(|&n| n < 1_000_000_000)?;
    DateTime::from_timestamp(timestamp.seconds, nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_comes_back_to_the_nanosecond() {
        for (seconds, nanos) in [(0, 0), (1_700_000_000, 123_456_789), (-1, 999_999_999)] {
            let time = DateTime::from_timestamp(seconds, nanos).unwrap();

            assert_eq!(decode(encode(time)), Some(time));
        }
    }

    #[test]
    fn nanoseconds_out_of_range_are_no_time() {
        for nanos in [-1, 1_000_000_000] {
            assert_eq!(decode(Timestamp { seconds: 0, nanos }), None);
        }
    }
}
