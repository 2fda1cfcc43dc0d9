//! Many values as one parameter, and the ids of many rows.

use std::ops::RangeInclusive;

use serde::{Serialize, Serializer};
use sqlx::sqlite::SqliteQueryResult;

/// A parameter of a statement that has many values, for `json_each`, or for
/// `jsonb_each` if they are arrays themselves.
///
/// # Errors
///
/// If they have no form as JSON, which is a fault of ours.
pub fn json_param(values: &impl Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(values).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// As [`json_param`], of so many values that they take a megabyte: a text that grew to that would leave
/// half a megabyte behind, and a quarter, for other threads to reuse. The `size` is about what
/// they take, in bytes.
///
/// # Errors
///
/// As [`json_param`].
pub fn json_param_with_capacity(
    size: usize,
    values: impl IntoIterator<Item = impl Serialize>,
) -> Result<String, sqlx::Error> {
    let mut text = Vec::with_capacity(size);
    let written = serde_json::Serializer::new(&mut text).collect_seq(values);
    written.map_err(|error| sqlx::Error::Encode(error.into()))?;
    String::from_utf8(text).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// The ids that an INSERT gave out to its rows, which it does one after the other: none if it
/// inserted nothing.
#[must_use]
pub fn inserted_ids(written: &SqliteQueryResult) -> Option<RangeInclusive<i64>> {
    let last = written.last_insert_rowid();
    let more = written.rows_affected().checked_sub(1)?;
    Some(last - i64::try_from(more).ok()?..=last)
}
