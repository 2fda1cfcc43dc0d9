//! Why there is no backup, or why nothing was restored: one variant for each thing that an
//! operator can do about it.

use std::{error, io, path::PathBuf, time::Duration};

use database::sqlite::CopyError;

use crate::sqlite::lock_backoff::TimedOut;

/// Whatever lies beneath a failure.
type Cause = Box<dyn error::Error + Send + Sync>;

/// Why there is no backup, or why nothing was restored. The database is as it was before,
/// except after [`Error::NotAsWritten`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Try again later, or wait longer.
    #[error(
        "the database was locked by another process for {}; \
         try again, or wait longer with --lock-timeout",
        humantime::format_duration(*.0)
    )]
    Locked(Duration),
    /// Name the right database.
    #[error(
        "there is no database {}, so there is nothing to back up; \
         does --database-url name the right file?",
        database.display()
    )]
    NoDatabase {
        /// The file.
        database: PathBuf,
    },
    /// Name another database: this one belongs to something else.
    #[error(
        "{} is not a database of the microblog: {why}; name another file with --database-url",
        database.display()
    )]
    Foreign {
        /// The file.
        database: PathBuf,
        /// How that is known.
        why: String,
    },
    /// Make the database readable.
    #[error("the file {} cannot be used; check its permissions and its folder's", database.display())]
    Unusable {
        /// The file.
        database: PathBuf,
        /// What the system or SQLite says.
        source: Cause,
    },
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
    NoRoom {
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
    Full {
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
        "the database {} is damaged: {what}; `migrator backups` lists what can be restored",
        database.display()
    )]
    Damaged {
        /// The file.
        database: PathBuf,
        /// What SQLite says.
        what: String,
    },
    /// Take it away, and restore an older backup in its place.
    #[error(
        "the database {} is so damaged that nothing can be written into it: {what}; \
         stop the services, move it away with its -wal and -shm, and restore again",
        database.display()
    )]
    Unreadable {
        /// The file.
        database: PathBuf,
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
    Record {
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
    Itself {
        /// The file.
        file: PathBuf,
    },
    /// Check the disk, and restore the state from before.
    #[error(
        "the database {} is not what was written into it: {what}; check the disk, \
         `migrator backups` lists the state from before",
        database.display()
    )]
    NotAsWritten {
        /// The database.
        database: PathBuf,
        /// What differs.
        what: String,
    },
    /// Read what SQLite says.
    #[error("the database failed; nothing was changed")]
    Database(#[source] Cause),
}

impl Error {
    /// A word that stays the same, for programs.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Locked(_) => "LOCKED",
            Self::NoDatabase { .. } => "NO_DATABASE",
            Self::Foreign { .. } => "FOREIGN",
            Self::Unusable { .. } => "UNUSABLE",
            Self::Folder { .. } => "BACKUP_FOLDER",
            Self::Exists { .. } => "BACKUP_EXISTS",
            Self::NoRoom { .. } | Self::Full { .. } => "NO_ROOM",
            Self::NotWritten { .. } => "BACKUP_NOT_WRITTEN",
            Self::Damaged { .. } | Self::Unreadable { .. } => "DATABASE_DAMAGED",
            Self::Differs { .. } => "BACKUP_DIFFERS",
            Self::Missing { .. } => "BACKUP_MISSING",
            Self::NotABackup { .. } => "NOT_A_BACKUP",
            Self::Corrupt { .. } => "BACKUP_DAMAGED",
            Self::Record { .. } => "BACKUP_RECORD",
            Self::Newer { .. } => "BACKUP_NEWER",
            Self::UnknownVersion { .. } => "BACKUP_VERSION",
            Self::PageSize { .. } => "PAGE_SIZE",
            Self::Itself { .. } => "BACKUP_IS_DATABASE",
            Self::NotAsWritten { .. } => "NOT_AS_WRITTEN",
            Self::Database(_) => "BACKUP_FAILED",
        }
    }

    /// What the process ends with: 75 if it is worth another try, else 9.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Locked(_) => 75,
            Self::Foreign { .. } => 7,
            _ => 9,
        }
    }
}

/// What SQLite's primary result codes mean here, see <https://sqlite.org/rescode.html>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// Somebody is in the way.
    Busy,
    /// The file is damaged.
    Corrupt,
    /// There is no room.
    Full,
    /// It is no database.
    NotADatabase,
    /// The file cannot be opened.
    CannotOpen,
    /// Anything else.
    Other,
}

impl From<i32> for Code {
    fn from(code: i32) -> Self {
        match code & 0xFF {
            // SQLITE_BUSY, SQLITE_LOCKED, and SQLITE_PROTOCOL: too many begin at once.
            5 | 6 | 15 => Self::Busy,
            11 => Self::Corrupt,
            13 => Self::Full,
            14 => Self::CannotOpen,
            26 => Self::NotADatabase,
            _ => Self::Other,
        }
    }
}

impl From<&sqlx::Error> for Code {
    fn from(error: &sqlx::Error) -> Self {
        error
            .as_database_error()
            .and_then(|error| error.code()?.parse::<i32>().ok())
            .map_or(Self::Other, Self::from)
    }
}

impl From<&CopyError> for Code {
    fn from(error: &CopyError) -> Self {
        Self::from(error.primary_code())
    }
}

impl From<TimedOut> for Error {
    fn from(TimedOut(limit): TimedOut) -> Self {
        Self::Locked(limit)
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

/// A failure to write a file: whether there is no room, or something else.
pub(super) fn not_written(file: PathBuf, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full {
            file,
            source: source.into(),
        },
        _ => Error::NotWritten {
            file,
            source: source.into(),
        },
    }
}
