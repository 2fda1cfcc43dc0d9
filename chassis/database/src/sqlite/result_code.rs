//! SQLite's result codes, as the errors of the database.

use std::{io, sync::Arc};

use crate::Error;

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolTimedOut => Self::Overloaded,
            sqlx::Error::PoolClosed => Self::ShuttingDown,
            error if is_busy(&error) => Self::Busy,
            error if is_full(&error) => Self::DiskFull,
            error => Self::Engine(Arc::new(error)),
        }
    }
}

/// Whether another connection holds the lock that this one needs: `SQLITE_BUSY` with
/// any extension.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(libsqlite3_sys::SQLITE_BUSY)
}

/// Whether a constraint was violated: then the statement, and it alone, is undone.
pub(super) fn is_constraint(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(libsqlite3_sys::SQLITE_CONSTRAINT)
}

/// What was done, or nothing if a constraint was violated.
///
/// # Errors
///
/// All other failures.
pub fn none_on_constraint_violation<T>(
    done: Result<Option<T>, sqlx::Error>,
) -> Result<Option<T>, sqlx::Error> {
    match done {
        Err(error) if is_constraint(&error) => Ok(None),
        done => done,
    }
}

/// Whether there was no room: for the file or its log, or for the index of the log.
fn is_full(error: &sqlx::Error) -> bool {
    use libsqlite3_sys::{SQLITE_FULL, SQLITE_IOERR_SHMSIZE};

    matches!(error, sqlx::Error::Io(error) if error.kind() == io::ErrorKind::StorageFull)
        || code(error)
            .is_some_and(|code| code & 0xff == SQLITE_FULL || code == SQLITE_IOERR_SHMSIZE)
}

/// The lower byte of the code, which says what happened; the upper ones say how.
pub(super) fn primary_code(error: &sqlx::Error) -> Option<i32> {
    Some(code(error)? & 0xff)
}

fn code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}
