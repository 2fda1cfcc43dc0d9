//! Why there is no backup, or why nothing was restored: one variant for each thing that an
//! operator can do about it.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use crate::{
    error::exit::Exit,
    sqlite::result_code::ResultCode,
    state::{
        database_name::DatabaseName,
        error::{Cause, DatabaseError},
    },
};

/// Why there is no backup, or why nothing was restored. The database is as it was before,
/// except after [`Error::NotAsWritten`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Make the folder usable, or name another.
    #[error(
        "the folder of backups {} cannot be used; make it a folder that can be written, \
         or name another",
        folder.display()
    )]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Name another file.
    #[error(
        "there is a file {} already, and a backup never overwrites one; name another",
        file.display()
    )]
    Exists {
        /// The file.
        file: PathBuf,
    },
    /// Make room.
    #[error(
        "there is no room for {}: it needs {needed} bytes, and {free} are free; \
         free some, or use another disk",
        file.display()
    )]
    InsufficientSpace {
        /// The file that would be written.
        file: PathBuf,
        /// How many bytes it takes.
        needed: u64,
        /// How many there are.
        free: u64,
    },
    /// Make room; somebody else took it meanwhile.
    #[error(
        "the disk filled up while {} was written; free some of it, \
         or use another disk",
        file.display()
    )]
    DiskFull {
        /// The file that was being written.
        file: PathBuf,
        /// What the system or SQLite says.
        source: Cause,
    },
    /// Read what the system says.
    #[error("{} could not be written; check the disk and its limits", file.display())]
    NotWritten {
        /// The file.
        file: PathBuf,
        /// What the system or SQLite says.
        source: Cause,
    },
    /// Restore an older backup.
    #[error(
        "the database {database} is damaged: {what}; `migrator backups` lists what can be restored"
    )]
    Damaged {
        /// Its name.
        database: DatabaseName,
        /// What SQLite says.
        what: String,
    },
    /// Take it away, and restore an older backup in its place.
    #[error(
        "the database {database} is so damaged that nothing can be written into it: {what}; \
         stop the services, move it away with its -wal and -shm, and restore again"
    )]
    TooDamaged {
        /// Its name.
        database: DatabaseName,
        /// What SQLite says.
        what: String,
    },
    /// Try again, and check the disk.
    #[error("the copy {} is not like the database: {what}; try again, and check the disk", file.display())]
    Differs {
        /// The copy, which is removed.
        file: PathBuf,
        /// What differs.
        what: String,
    },
    /// Make the file readable.
    #[error("the file {} cannot be used; check its permissions and its folder's", file.display())]
    Inaccessible {
        /// The file.
        file: PathBuf,
        /// What the system or SQLite says.
        source: Cause,
    },
    /// Name a backup that there is.
    #[error("there is no file {}; `migrator backups` lists those that there are", file.display())]
    Missing {
        /// The file.
        file: PathBuf,
    },
    /// Name a backup.
    #[error("{} is not a backup of the microblog: {why}; name another file", file.display())]
    NotABackup {
        /// The file.
        file: PathBuf,
        /// How that is known.
        why: String,
    },
    /// Name another backup.
    #[error("the backup {} is damaged: {what}; choose another of `migrator backups`", file.display())]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Name another backup, or remove its record.
    #[error(
        "the record {} cannot be read; choose another backup, or remove the record to restore \
         without it",
        file.display()
    )]
    InvalidManifest {
        /// The record.
        file: PathBuf,
        /// What is wrong with it.
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
        /// Its version.
        found: i64,
        /// The newest that is known.
        newest: i64,
    },
    /// Use the migrator that made it.
    #[error(
        "the backup {} is at version {found}, which this migrator does not have; \
         use the migrator that made it",
        file.display()
    )]
    UnknownVersion {
        /// The file.
        file: PathBuf,
        /// Its version.
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
        /// The size of its pages.
        found: i64,
        /// The size of the database's.
        expected: i64,
    },
    /// Name a backup, not the database itself.
    #[error("{} is the database itself; name a backup of it", file.display())]
    IsDatabase {
        /// The file.
        file: PathBuf,
    },
    /// Check the disk, and restore the state from before.
    #[error(
        "the database {database} is not what was written into it: {what}; check the disk, \
         `migrator backups` lists the state from before"
    )]
    NotAsWritten {
        /// Its name.
        database: DatabaseName,
        /// What differs.
        what: String,
    },
    /// Read what the system says.
    #[error("the work on a backup ended before its time")]
    Aborted(#[source] Cause),
}

impl Error {
    /// Returns the exit code, and the word for programs.
    pub(crate) fn exit_and_reason(&self) -> (Exit, &'static str) {
        match self {
            Self::Database(error) => match error {
                DatabaseError::Locked(_) | DatabaseError::Foreign { .. } => error.exit_and_reason(),
                DatabaseError::Unusable { .. } | DatabaseError::NoWriteAheadLog { .. } => {
                    (Exit::Backup, "UNUSABLE")
                }
                DatabaseError::NotFound { .. } | DatabaseError::Full(_) => {
                    (Exit::Backup, error.exit_and_reason().1)
                }
                _ => (Exit::Backup, "BACKUP_FAILED"),
            },
            Self::Folder { .. } => (Exit::Backup, "BACKUP_FOLDER"),
            Self::Exists { .. } => (Exit::Backup, "BACKUP_EXISTS"),
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

    pub(super) fn foreign(database: &Path, why: &str) -> Self {
        Self::Database(DatabaseError::Foreign {
            database: database.into(),
            why: why.to_owned(),
        })
    }

    pub(super) fn foreign_id(database: &Path, id: i32) -> Self {
        Self::foreign(database, &format!("its application id is {id:#010x}"))
    }

    pub(super) fn not_a_backup(file: &Path, why: &str) -> Self {
        Self::NotABackup {
            file: file.to_owned(),
            why: why.to_owned(),
        }
    }

    /// Returns one word for programs, which stays as it is when the text changes.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.exit_and_reason().1
    }

    /// Returns the code with which the process exits.
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

/// Returns the meaning of a failure to write a file.
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

/// Returns the meaning of a failure to read the database.
pub(super) fn read_error(database: &Path, error: sqlx::Error) -> Error {
    match ResultCode::from(&error) {
        ResultCode::Corrupt => Error::Damaged {
            database: database.into(),
            what: error.to_string(),
        },
        _ => DatabaseError::from_sqlite(database, error).into(),
    }
}

/// Returns the meaning of a failure to copy the database into a file.
pub(super) fn copy_error(database: &Path, file: &Path, error: sqlx::Error) -> Error {
    match ResultCode::from(&error) {
        ResultCode::Corrupt | ResultCode::NotADatabase => read_error(database, error),
        _ => write_error(file, error),
    }
}

/// Returns the meaning of a failure to read a backup.
pub(super) fn backup_file_error(file: &Path, error: sqlx::Error) -> Error {
    match ResultCode::from(&error) {
        ResultCode::NotADatabase => Error::not_a_backup(file, "it is no SQLite database"),
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

/// Returns the meaning of a failure to restore into the database.
pub(super) fn restore_error<E: Into<Cause>>(database: &Path, error: E) -> Error
where
    E: fmt::Display,
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
