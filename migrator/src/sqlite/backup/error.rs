//! Failures of backups and restores, with one variant for each remedy of an operator.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use super::Backups;
use crate::{
    error::exit::Exit,
    sqlite::result_code::ResultCode,
    state::{
        application::Application,
        database_name::DatabaseName,
        error::{Cause, DatabaseError},
    },
};

/// A failure of a backup or a restore. The database is unchanged except after
/// [`Error::NotAsWritten`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Make the directory usable, or name another.
    #[error(
        "the folder of backups {} cannot be used; make it a folder that can be written, \
         or name another",
        folder.display()
    )]
    Folder {
        /// The directory.
        folder: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Name another file.
    #[error(
        "there is a file {} already, and a backup never overwrites one; name another",
        file.display()
    )]
    Exists {
        /// The file that exists.
        file: PathBuf,
    },
    /// Remove the file, or name another.
    #[error(
        "{} is in the way and cannot be removed; remove it by hand, or name another file",
        file.display()
    )]
    Obstructed {
        /// The partial file that another process or user left.
        file: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Free disk space.
    #[error(
        "there is no room for {}: it needs {needed} bytes, and {free} are free; \
         free some, or use another disk",
        file.display()
    )]
    InsufficientSpace {
        /// The file to be written.
        file: PathBuf,
        /// The bytes that it takes.
        needed: u64,
        /// The free bytes of the disk.
        free: u64,
    },
    /// Free disk space: another process used it up during the copy.
    #[error(
        "the disk filled up while {} was written; free some of it, \
         or use another disk",
        file.display()
    )]
    DiskFull {
        /// The file that was being written.
        file: PathBuf,
        /// The error of the system or of SQLite.
        source: Cause,
    },
    /// Read the cause, and check the disk.
    #[error("{} could not be written; check the disk and its limits", file.display())]
    NotWritten {
        /// The file.
        file: PathBuf,
        /// The error of the system or of SQLite.
        source: Cause,
    },
    /// Restore an older backup.
    #[error(
        "the database {database} is damaged: {what}; `migrator backups` lists what can be restored"
    )]
    Damaged {
        /// The name of the database.
        database: DatabaseName,
        /// SQLite's message.
        what: String,
    },
    /// Move the file away, and restore an older backup in its place.
    #[error(
        "the database {database} is so damaged that nothing can be written into it: {what}; \
         stop the services, move it away with its -wal and -shm, and restore again"
    )]
    TooDamaged {
        /// The name of the database.
        database: DatabaseName,
        /// SQLite's message.
        what: String,
    },
    /// Try again, and check the disk.
    #[error("the copy {} differs from the database: {what}; try again, and check the disk", file.display())]
    Differs {
        /// The copy, which is removed.
        file: PathBuf,
        /// The first difference.
        what: String,
    },
    /// Make the file readable.
    #[error("the file {} cannot be used; check its permissions and those of its folder", file.display())]
    Inaccessible {
        /// The file.
        file: PathBuf,
        /// The error of the system or of SQLite.
        source: Cause,
    },
    /// Name an existing backup.
    #[error("there is no file {}; `migrator backups` lists the backups", file.display())]
    Missing {
        /// The file.
        file: PathBuf,
    },
    /// Name a backup.
    #[error("{} is not a backup of {application}: {why}; name another file", file.display())]
    NotABackup {
        /// The file.
        file: PathBuf,
        /// The application of this program or project.
        application: Application,
        /// The reason for that.
        why: String,
    },
    /// Name another backup.
    #[error("the backup {} is damaged: {what}; choose another of `migrator backups`", file.display())]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// The damage.
        what: String,
    },
    /// Name another backup, or remove its manifest.
    #[error(
        "the manifest {} cannot be read; choose another backup, or remove the manifest to restore \
         without it",
        file.display()
    )]
    InvalidManifest {
        /// The manifest.
        file: PathBuf,
        /// The error of the system or of the JSON parser.
        source: Cause,
    },
    /// Use the newer migrator.
    #[error(
        "the backup {} is at version {found}, and this migrator knows {newest} at most; \
         use the newer migrator",
        file.display()
    )]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its schema version.
        found: i64,
        /// The newest version that this program knows.
        newest: i64,
    },
    /// Use the migrator that made the backup.
    #[error(
        "the backup {} is at version {found}, which this migrator does not have; \
         use the migrator that made it",
        file.display()
    )]
    UnknownVersion {
        /// The file.
        file: PathBuf,
        /// Its schema version.
        found: i64,
    },
    /// Move the database away first.
    #[error(
        "the backup {} has pages of {found} bytes and the database pages of {expected}; \
         stop the services, move the database away with its -wal and -shm, and restore again",
        file.display()
    )]
    PageSize {
        /// The backup.
        file: PathBuf,
        /// The page size of the backup in bytes.
        found: i64,
        /// The page size of the database in bytes.
        expected: i64,
    },
    /// Name a backup, not the database itself.
    #[error("{} is the database itself; name a backup of it", file.display())]
    IsDatabase {
        /// The file.
        file: PathBuf,
    },
    /// Check the disk, and restore the backup of the previous content.
    #[error(
        "the database {database} differs from what was restored: {what}; check the disk, \
         `migrator backups` lists the state from before"
    )]
    NotAsWritten {
        /// The name of the database.
        database: DatabaseName,
        /// The first difference.
        what: String,
    },
    /// Read the cause.
    #[error("the backup or restore was aborted")]
    Aborted(#[source] Cause),
}

impl Error {
    /// Returns the exit code and the machine-readable reason.
    pub(crate) fn exit_and_reason(&self) -> (Exit, &'static str) {
        match self {
            Self::Database(error) => match error {
                DatabaseError::Locked(_) | DatabaseError::Foreign { .. } => error.exit_and_reason(),
                DatabaseError::Unusable { .. } | DatabaseError::NoWriteAheadLog { .. } => {
                    (Exit::Backup, "UNUSABLE")
                }
                DatabaseError::NotFound { .. }
                | DatabaseError::Full(_)
                | DatabaseError::Replaced(_)
                | DatabaseError::LogWithoutDatabase { .. } => {
                    (Exit::Backup, error.exit_and_reason().1)
                }
                _ => (Exit::Backup, "BACKUP_FAILED"),
            },
            Self::Folder { .. } => (Exit::Backup, "BACKUP_FOLDER"),
            Self::Exists { .. } | Self::Obstructed { .. } => (Exit::Backup, "BACKUP_EXISTS"),
            Self::InsufficientSpace { .. } | Self::DiskFull { .. } => (Exit::Backup, "DISK_FULL"),
            Self::NotWritten { .. } => (Exit::Backup, "BACKUP_NOT_WRITTEN"),
            Self::Damaged { .. } | Self::TooDamaged { .. } => (Exit::Backup, "DATABASE_DAMAGED"),
            Self::Differs { .. } => (Exit::Backup, "BACKUP_DIFFERS"),
            Self::Inaccessible { .. } => (Exit::Backup, "UNUSABLE"),
            Self::Missing { .. } => (Exit::Backup, "BACKUP_MISSING"),
            Self::NotABackup { .. } => (Exit::Backup, "NOT_A_BACKUP"),
            Self::Corrupt { .. } => (Exit::Backup, "BACKUP_DAMAGED"),
            Self::InvalidManifest { .. } => (Exit::Backup, "BACKUP_RECORD"),
            Self::Newer { .. } => (Exit::Backup, "BACKUP_NEWER"),
            Self::UnknownVersion { .. } => (Exit::Backup, "BACKUP_VERSION"),
            Self::PageSize { .. } => (Exit::Backup, "PAGE_SIZE"),
            Self::IsDatabase { .. } => (Exit::Backup, "BACKUP_IS_DATABASE"),
            Self::NotAsWritten { .. } => (Exit::Backup, "NOT_AS_WRITTEN"),
            Self::Aborted(_) => (Exit::Backup, "BACKUP_FAILED"),
        }
    }

    pub(super) fn foreign(backups: &Backups, why: &str) -> Self {
        Self::Database(DatabaseError::Foreign {
            database: backups.database.as_path().into(),
            application: backups.application,
            reason: why.to_owned(),
        })
    }

    pub(super) fn foreign_id(backups: &Backups, id: i32) -> Self {
        Self::foreign(backups, &format!("its application id is {id:#010x}"))
    }

    pub(super) fn not_a_backup(file: &Path, application: Application, why: &str) -> Self {
        Self::NotABackup {
            file: file.to_owned(),
            application,
            why: why.to_owned(),
        }
    }

    /// Returns the machine-readable reason, which stays when the text changes.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.exit_and_reason().1
    }

    /// Returns the exit code of the process.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        self.exit_and_reason().0.code()
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

/// Classifies a failure to write a file.
pub(super) fn write_error<E: Into<Cause>>(file: &Path, error: E) -> Error
where
    for<'a> ResultCode: From<&'a E>,
{
    let file = file.to_owned();
    match ResultCode::from(&error) {
        ResultCode::Full => Error::DiskFull {
            file,
            source: error.into(),
        },
        _ => Error::NotWritten {
            file,
            source: error.into(),
        },
    }
}

/// Classifies a failure to read the database.
pub(super) fn read_error(backups: &Backups, error: sqlx::Error) -> Error {
    let database = backups.database.as_path();
    match ResultCode::from(&error) {
        ResultCode::Corrupt => Error::Damaged {
            database: database.into(),
            what: error.to_string(),
        },
        _ => DatabaseError::from_sqlite(database, backups.application, error).into(),
    }
}

/// Classifies a failure to copy the database into a file.
pub(super) fn copy_error(backups: &Backups, file: &Path, error: sqlx::Error) -> Error {
    match ResultCode::from(&error) {
        ResultCode::Corrupt | ResultCode::NotADatabase => read_error(backups, error),
        _ => write_error(file, error),
    }
}

/// Classifies a failure to read a backup.
pub(super) fn backup_file_error(
    file: &Path,
    application: Application,
    error: sqlx::Error,
) -> Error {
    match ResultCode::from(&error) {
        ResultCode::NotADatabase => {
            Error::not_a_backup(file, application, "it is not an SQLite database")
        }
        ResultCode::Corrupt => Error::Corrupt {
            file: file.to_owned(),
            what: error.to_string(),
        },
        ResultCode::CannotOpen => Error::Inaccessible {
            file: file.to_owned(),
            source: error.into(),
        },
        _ => error.into(),
    }
}

/// Classifies a failure to restore into the database.
pub(super) fn restore_error<E>(database: &Path, error: E) -> Error
where
    E: Into<Cause> + fmt::Display,
    for<'a> ResultCode: From<&'a E>,
{
    match ResultCode::from(&error) {
        ResultCode::Full => write_error(database, error),
        ResultCode::NotADatabase | ResultCode::Corrupt => Error::TooDamaged {
            database: database.into(),
            what: error.to_string(),
        },
        ResultCode::CannotOpen => Error::Database(DatabaseError::Unusable {
            database: database.into(),
            source: error.into(),
        }),
        _ => Error::Aborted(error.into()),
    }
}
