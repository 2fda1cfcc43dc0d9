//! The version of the linked SQLite library.

use process::ExitError;

/// The first version without the WAL reset bug, in the format of `sqlite3_libversion_number`. In
/// earlier versions, two processes that write and checkpoint a WAL database concurrently can corrupt
/// it.
const MIN_VERSION: i32 = 3_051_003;

/// Rejects a library that could corrupt the database.
///
/// # Errors
///
/// [`ExitError::Failed`] if the library is older than 3.51.3.
pub fn check_minimum() -> Result<(), ExitError> {
    check_number(rusqlite::version_number())
}

fn check_number(number: i32) -> Result<(), ExitError> {
    if number >= MIN_VERSION {
        return Ok(());
    }
    Err(ExitError::Failed(format!(
        "the linked SQLite {}.{}.{} can corrupt a database that two processes write; build with 3.51.3 or later",
        number / 1_000_000,
        number / 1_000 % 1_000,
        number % 1_000,
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linked_library_is_accepted() {
        assert!(check_minimum().is_ok());
    }

    #[test]
    fn a_library_with_the_wal_reset_bug_is_rejected() {
        let error = check_number(3_051_002).unwrap_err().to_string();

        assert!(error.contains("3.51.2"), "{error}");
    }
}
