//! JSON parameters with many values, and the ids of inserted rows.

use std::ops::RangeInclusive;

use serde::{Serialize, Serializer};
use sqlx::sqlite::SqliteQueryResult;

/// Encodes values as one JSON parameter, for `json_each` or, if the values are arrays, `jsonb_each`.
///
/// # Errors
///
/// If the values cannot be encoded as JSON, which is a bug.
pub fn json_param(values: &impl Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(values).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// Encodes about 1 MB of values as one JSON parameter, in a buffer of `capacity` bytes. A growing
/// buffer would leave freed blocks of 512 KiB, 256 KiB and less in the allocator.
///
/// # Errors
///
/// Those of [`json_param`].
pub fn json_param_with_capacity(
    capacity: usize,
    values: impl IntoIterator<Item = impl Serialize>,
) -> Result<String, sqlx::Error> {
    let mut text = Vec::with_capacity(capacity);
    let written = serde_json::Serializer::new(&mut text).collect_seq(values);
    written.map_err(|error| sqlx::Error::Encode(error.into()))?;
    String::from_utf8(text).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// Returns the ids of the rows that an INSERT created, which are consecutive. Returns `None` if it
/// created none.
#[must_use]
pub fn inserted_ids(written: &SqliteQueryResult) -> Option<RangeInclusive<i64>> {
    let last = written.last_insert_rowid();
    let more = written.rows_affected().checked_sub(1)?;
    Some(last - i64::try_from(more).ok()?..=last)
}
