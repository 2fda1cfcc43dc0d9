//! Converts between `google.protobuf.Timestamp` and `chrono` times.

use chrono::{DateTime, Utc};
use prost_types::Timestamp;

/// Encodes a time as seconds and nanoseconds. The nanoseconds are not negative, even before 1970.
#[must_use]
pub fn encode(time: DateTime<Utc>) -> Timestamp {
    Timestamp {
        seconds: time.timestamp(),
        // chrono represents a leap second by more than 999,999,999 ns, which Timestamp does not
        // allow. It becomes the last nanosecond of the second before.
        nanos: i32::try_from(time.timestamp_subsec_nanos().min(999_999_999)).unwrap_or(999_999_999),
    }
}

/// Decodes a time, or returns `None` if the nanoseconds or the year are out of range.
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
    fn a_time_is_preserved_to_the_nanosecond() {
        for (seconds, nanos) in [(0, 0), (1_700_000_000, 123_456_789), (-1, 999_999_999)] {
            let time = DateTime::from_timestamp(seconds, nanos).unwrap();

            assert_eq!(decode(encode(time)), Some(time));
        }
    }

    #[test]
    fn nanoseconds_out_of_range_are_rejected() {
        for nanos in [-1, 1_000_000_000] {
            assert_eq!(decode(Timestamp { seconds: 0, nanos }), None);
        }
    }
}
