//! SQLite's result codes, as the migrator reads them: <https://sqlite.org/rescode.html>.

use std::{io, path::Path};

use database::sqlite::OnlineBackupError;

use crate::state::error::DatabaseError;

/// The meaning of a result code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResultCode {
    /// SQLite cannot make sense of a statement, given what the database has.
    Error,
    /// Another connection is in the way.
    Busy,
    /// The file cannot be written.
    ReadOnly,
    /// The file is damaged.
    Corrupt,
    /// There is no room.
    Full,
    /// The file cannot be opened.
    CannotOpen,
    /// The file is no database.
    NotADatabase,
    /// Anything else.
    Other,
}

impl From<i32> for ResultCode {
    fn from(code: i32) -> Self {
        /// `SQLITE_IOERR_SHMSIZE`: the index of the log cannot grow.
        const SHM_SIZE: i32 = 4874;
        if code == SHM_SIZE {
            return Self::Full;
        }
        // The primary result code is the low byte.
        match code & 0xFF {
            1 => Self::Error,
            // SQLITE_BUSY, SQLITE_LOCKED, and SQLITE_PROTOCOL: too many begin to use the log.
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
    /// Returns the meaning of a failure to open or to read a database.
    pub(crate) fn from_sqlite(database: &Path, error: sqlx::Error) -> Self {
        match ResultCode::from(&error) {
            ResultCode::CannotOpen => Self::Unusable {
                database: database.into(),
                source: error.into(),
            },
            ResultCode::NotADatabase => Self::Foreign {
                database: database.into(),
                why: "it is no SQLite database".into(),
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
