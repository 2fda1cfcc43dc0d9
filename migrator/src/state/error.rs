//! Why a database cannot be used: what a session of any engine reports.

use std::{error, time::Duration};

use database::sqlite::volume::VolumeError;

use super::database_name::DatabaseName;
use crate::error::exit::Exit;

/// The cause of a failure.
pub(crate) type Cause = Box<dyn error::Error + Send + Sync>;

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Create the database first.
    #[error("there is no database {database} yet; `migrator create` makes it")]
    NotFound {
        /// Its name.
        database: DatabaseName,
    },
    /// Name another database: this one belongs to something else.
    #[error(
        "{database} is not a database of the microblog: {why}; name another file with \
         --database-url"
    )]
    Foreign {
        /// Its name.
        database: DatabaseName,
        /// How that is known.
        why: String,
    },
    /// Name another file, or make this one accessible.
    #[error("the file {database} cannot be used; check its permissions and its folder's")]
    Unusable {
        /// Its name.
        database: DatabaseName,
        /// What the system or the engine says.
        source: Cause,
    },
    /// Put the database where it can be, or let this process use it.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// Put the database on a local file system.
    #[error(
        "{database} cannot have a write-ahead log, SQLite uses `{mode}` instead; \
         put it on a local file system"
    )]
    NoWriteAheadLog {
        /// Its name.
        database: DatabaseName,
        /// The journal mode that SQLite uses.
        mode: String,
    },
    /// Try again later, or wait longer.
    #[error(
        "the database was locked by another process for {}; \
         try again, or wait longer with --lock-timeout",
        humantime::format_duration(*.0)
    )]
    Locked(Duration),
    /// Declare it in another way.
    #[error("the declaration of {object} cannot be compared: {why}")]
    Unsupported {
        /// Its kind and name, such as `table users`.
        object: String,
        /// What is in the way.
        why: String,
    },
    /// Make room.
    #[error("the disk of the database is full; make room on it")]
    Full(#[source] sqlx::Error),
    /// Read what the engine says.
    #[error("the database failed")]
    Failed(#[source] sqlx::Error),
}

impl DatabaseError {
    /// Returns the exit code, and the word for programs.
    pub(crate) fn exit_and_reason(&self) -> (Exit, &'static str) {
        match self {
            Self::NotFound { .. } => (Exit::TryAgain, "DATABASE_NOT_FOUND"),
            Self::Foreign { .. } => (Exit::Refused, "FOREIGN_DATABASE"),
            Self::Unusable { .. } => (Exit::Config, "UNUSABLE_FILE"),
            Self::Volume(VolumeError::Network { .. }) => (Exit::Config, "NETWORK_FILE_SYSTEM"),
            Self::Volume(VolumeError::ReadOnly { .. }) => (Exit::Config, "READ_ONLY"),
            Self::Volume(
                VolumeError::WrongOwner { .. }
                | VolumeError::Mode { .. }
                | VolumeError::Unreachable { .. },
            ) => (Exit::Config, "NOT_PERMITTED"),
            Self::Volume(VolumeError::Full { .. }) | Self::Full(_) => (Exit::Failed, "DISK_FULL"),
            Self::NoWriteAheadLog { .. } => (Exit::Config, "NO_WRITE_AHEAD_LOG"),
            Self::Locked(_) => (Exit::TryAgain, "LOCKED"),
            Self::Unsupported { .. } => (Exit::Failed, "UNSUPPORTED_DECLARATION"),
            Self::Failed(_) => (Exit::Failed, "DATABASE_FAILED"),
        }
    }
}
