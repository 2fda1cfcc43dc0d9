//! A failed expectation, as an error that holds what was found.

use std::fmt;

/// Returns an error with a text unless a condition is true.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err(format!($($text)+));
        }
    };
}
pub(super) use ensure;

/// Returns an error unless the values are equal.
pub(super) fn same<T: PartialEq + fmt::Debug>(
    found: &T,
    wanted: &T,
    what: &str,
) -> Result<(), String> {
    ensure!(found == wanted, "{what}: {found:?} instead of {wanted:?}");
    Ok(())
}
