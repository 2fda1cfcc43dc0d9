//! SQLite's result codes, as the migrator tells them apart: <https://sqlite.org/rescode.html>.

use std::{io, path::Path};

use database::sqlite::OnlineBackupError;

use crate::state::{application::Application, error::DatabaseError};

/// The class of a result code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResultCode {
    /// `SQLITE_ERROR`: the statement is invalid for this schema.
    Error,
    /// Another connection holds a lock.
    Busy,
    /// The file cannot be written.
    ReadOnly,
    /// The file is damaged.
    Corrupt,
    /// The disk is full.
    Full,
    /// The file cannot be opened.
    CannotOpen,
    /// The file is not an SQLite database.
    NotADatabase,
    /// Any other code.
    Other,
}

impl From<i32> for ResultCode {
    fn from(code: i32) -> Self {
        /// `SQLITE_IOERR_SHMSIZE`: the disk has no room for the index of the write-ahead log.
        const SHM_SIZE: i32 = 4874;
        if code == SHM_SIZE {
            return Self::Full;
        }
        // The primary result code is the low byte.
        match code & 0xFF {
            1 => Self::Error,
            // SQLITE_BUSY, SQLITE_LOCKED, and SQLITE_PROTOCOL: a race at opening the log.
            5 | 6 | 15 => Self::Busy,
            8 => Self::ReadOnly,
            11 => Self::Corrupt,
            13 => Self::Full,
            14 => Self::CannotOpen,
            26 => Self::NotADatabase,
            _ => Self::Other,
        }
    }
}

impl From<&sqlx::Error> for ResultCode {
    fn from(error: &sqlx::Error) -> Self {
        error
            .as_database_error()
            .and_then(|error| error.code()?.parse::<i32>().ok())
            .map_or(Self::Other, Self::from)
    }
}

impl From<&OnlineBackupError> for ResultCode {
    fn from(error: &OnlineBackupError) -> Self {
        Self::from(error.primary_code())
    }
}

impl From<&io::Error> for ResultCode {
    fn from(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Other,
        }
    }
}

impl DatabaseError {
    /// Classifies a failure to open or to read a database.
    pub(crate) fn from_sqlite(
        database: &Path,
        application: Application,
        error: sqlx::Error,
    ) -> Self {
        match ResultCode::from(&error) {
            ResultCode::CannotOpen => Self::Unusable {
                database: database.into(),
                source: error.into(),
            },
            ResultCode::NotADatabase => Self::Foreign {
                database: database.into(),
                application,
                reason: "it is not an SQLite database".into(),
            },
            _ => error.into(),
        }
    }
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        match ResultCode::from(&error) {
            ResultCode::Full => Self::Full(error),
            _ => Self::Failed(error),
        }
    }
}
