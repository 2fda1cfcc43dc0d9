//! The mapping of SQLite's result codes to the errors of the database.

use std::{io, sync::Arc};

use crate::Error;

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolTimedOut => Self::Overloaded,
            sqlx::Error::PoolClosed => Self::ShuttingDown,
            error if is_busy(&error) => Self::Busy,
            error if is_full(&error) => Self::DiskFull,
            error if is_stale_file(&error) => Self::Replaced,
            error => Self::Engine(Arc::new(error)),
        }
    }
}

/// Returns whether another connection holds the lock: `SQLITE_BUSY` with any extended code.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(libsqlite3_sys::SQLITE_BUSY)
}

/// Returns whether a constraint was violated. SQLite then rolls back only the statement.
pub(super) fn is_constraint(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(libsqlite3_sys::SQLITE_CONSTRAINT)
}

/// Turns the violation of a constraint into `None`.
///
/// # Errors
///
/// Any other error.
pub fn none_on_constraint_violation<T>(
    result: Result<Option<T>, sqlx::Error>,
) -> Result<Option<T>, sqlx::Error> {
    match result {
        Err(error) if is_constraint(&error) => Ok(None),
        result => result,
    }
}

/// Returns whether the disk was full: for the file, its WAL, or the index of the WAL.
fn is_full(error: &sqlx::Error) -> bool {
    use libsqlite3_sys::{SQLITE_FULL, SQLITE_IOERR_SHMSIZE};

    matches!(error, sqlx::Error::Io(error) if error.kind() == io::ErrorKind::StorageFull)
        || code(error)
            .is_some_and(|code| code & 0xff == SQLITE_FULL || code == SQLITE_IOERR_SHMSIZE)
}

/// Returns the error of a read while the files of the database are not those that were opened.
pub(super) fn stale_file() -> sqlx::Error {
    sqlx::Error::Io(io::ErrorKind::StaleNetworkFileHandle.into())
}

fn is_stale_file(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == io::ErrorKind::StaleNetworkFileHandle)
}

/// Returns the primary result code: the lower byte of the extended one.
pub(super) fn primary_code(error: &sqlx::Error) -> Option<i32> {
    Some(code(error)? & 0xff)
}

fn code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}
