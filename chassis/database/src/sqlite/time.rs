//! Times in columns: microseconds since the Unix epoch.

use chrono::{DateTime, Utc};

/// Returns the time of a column value.
///
/// # Errors
///
/// A text with the value, if it is out of range.
pub fn time(micros: i64) -> Result<DateTime<Utc>, String> {
    DateTime::from_timestamp_micros(micros).ok_or_else(|| format!("the time {micros}"))
}
