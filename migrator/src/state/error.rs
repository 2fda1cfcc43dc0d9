//! The errors of a database session, of any engine.

use std::{error, path::PathBuf, time::Duration};

use database::sqlite::{FileChange, volume::VolumeError};

use super::{application::Application, database_name::DatabaseName};
use crate::error::exit::Exit;

/// The source of an error.
pub(crate) type Cause = Box<dyn error::Error + Send + Sync>;

/// A database cannot be used. Each variant states the remedy.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Create the database first.
    #[error("the database {database} does not exist; `migrator create` creates it")]
    NotFound {
        /// The database.
        database: DatabaseName,
    },
    /// Name another database: this one belongs to another application.
    #[error(
        "{database} is not a database of {application}: {reason}; name another file with \
         --database-url"
    )]
    Foreign {
        /// The database.
        database: DatabaseName,
        /// The application of this program or project.
        application: Application,
        /// The evidence.
        reason: String,
    },
    /// Name another file, or make this one accessible.
    #[error("the file {database} cannot be used; check its permissions and those of its folder")]
    Unusable {
        /// The database.
        database: DatabaseName,
        /// The error of the operating system or the engine.
        source: Cause,
    },
    /// Move the database, or give this process access.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// Put the file in order: what was committed may be lost.
    #[error(transparent)]
    Replaced(#[from] FileChange),
    /// Move the database back, or remove the log.
    #[error(
        "the database {database} is missing, and {} is left of it; move the database back, or stop \
         all services and remove that file",
        log.display()
    )]
    LogWithoutDatabase {
        /// The database.
        database: DatabaseName,
        /// The write-ahead log or its index.
        log: PathBuf,
    },
    /// Put the database on a local file system.
    #[error(
        "{database} cannot use a write-ahead log, only the journal mode `{mode}`; \
         put it on a local file system"
    )]
    NoWriteAheadLog {
        /// The database.
        database: DatabaseName,
        /// The journal mode that SQLite uses instead.
        mode: String,
    },
    /// Try again later, or wait longer.
    #[error(
        "the database was locked by another process for {}; \
         try again, or wait longer with --lock-timeout",
        humantime::format_duration(*.0)
    )]
    Locked(Duration),
    /// Declare the object in another way.
    #[error("the declaration of {object} cannot be compared: {reason}")]
    Unsupported {
        /// The kind and the name, such as `table users`.
        object: String,
        /// The unsupported part.
        reason: String,
    },
    /// Free disk space.
    #[error("the disk of the database is full; free some space")]
    Full(#[source] sqlx::Error),
    /// See the source: the error of the engine.
    #[error("the database failed")]
    Failed(#[source] sqlx::Error),
}

impl DatabaseError {
    /// Returns the exit code and the machine-readable reason.
    pub(crate) fn exit_and_reason(&self) -> (Exit, &'static str) {
        match self {
            Self::NotFound { .. } => (Exit::TryAgain, "DATABASE_NOT_FOUND"),
            Self::Foreign { .. } => (Exit::Refused, "FOREIGN_DATABASE"),
            Self::Unusable { .. } | Self::Volume(VolumeError::NotAFile { .. }) => {
                (Exit::Config, "UNUSABLE_FILE")
            }
            Self::Volume(VolumeError::Network { .. }) => (Exit::Config, "NETWORK_FILE_SYSTEM"),
            Self::Volume(VolumeError::ReadOnly { .. }) => (Exit::Config, "READ_ONLY"),
            Self::Volume(
                VolumeError::WrongOwner { .. }
                | VolumeError::Mode { .. }
                | VolumeError::Unreachable { .. },
            ) => (Exit::Config, "NOT_PERMITTED"),
            Self::Volume(VolumeError::Full { .. }) | Self::Full(_) => (Exit::Failed, "DISK_FULL"),
            Self::Replaced(_) => (Exit::Failed, "DATABASE_REPLACED"),
            Self::LogWithoutDatabase { .. } => (Exit::Config, "LOG_WITHOUT_DATABASE"),
            Self::NoWriteAheadLog { .. } => (Exit::Config, "NO_WRITE_AHEAD_LOG"),
            Self::Locked(_) => (Exit::TryAgain, "LOCKED"),
            Self::Unsupported { .. } => (Exit::Failed, "UNSUPPORTED_DECLARATION"),
            Self::Failed(_) => (Exit::Failed, "DATABASE_FAILED"),
        }
    }
}
