//! Times in columns, which count microseconds since the Unix epoch.

use chrono::{DateTime, Utc};

/// Returns the time of a column.
///
/// # Errors
///
/// The text names the value if no time has it.
pub fn time(micros: i64) -> Result<DateTime<Utc>, String> {
    DateTime::from_timestamp_micros(micros).ok_or_else(|| format!("the time {micros}"))
}
