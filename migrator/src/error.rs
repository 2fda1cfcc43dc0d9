//! Why a run did not do what it was asked for: one variant for each thing that an
//! operator can do about it. Knows the exit codes; knows no SQL.

use std::{error, path::PathBuf, time::Duration};

use chassis::process::Failure;

use crate::migrations::{Direction, Invalid};

/// Whatever lies beneath a failure.
type Cause = Box<dyn error::Error + Send + Sync>;

/// Why a run did not do what it was asked for. The database is then as it was before.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Build with a newer SQLite.
    #[error(transparent)]
    Library(Failure),
    /// Correct the names of the migrations, and build again.
    #[error("the migrations of this program are not valid")]
    Invalid(#[from] Invalid),
    /// Create the database first.
    #[error("there is no database {} yet; `migrator create` makes it", database.display())]
    NotCreated {
        /// The file.
        database: PathBuf,
    },
    /// Name another file: this one is not there, so nothing can be undone in it.
    #[error(
        "there is no database {}, so nothing can be downgraded; \
         does --database-url name the right file?",
        database.display()
    )]
    NothingToDowngrade {
        /// The file.
        database: PathBuf,
    },
    /// Name another file: this one belongs to something else.
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
    /// Name another file, or make this one accessible.
    #[error("the file {} cannot be used", database.display())]
    Unusable {
        /// The file.
        database: PathBuf,
        /// What the system or SQLite says.
        source: Cause,
    },
    /// Put the database on a local file system.
    #[error(
        "{} cannot have a write-ahead log, SQLite uses `{mode}` instead; \
         put it on a local file system",
        database.display()
    )]
    NoWriteAheadLog {
        /// The file.
        database: PathBuf,
        /// The journal mode that SQLite uses.
        mode: String,
    },
    /// Give a number that there is.
    #[error("there is no migration {number}; there are {known}")]
    UnknownTarget {
        /// The number that was given.
        number: i64,
        /// Those that there are, with commas.
        known: String,
    },
    /// Downgrade instead.
    #[error(
        "the database is at version {current}, above {target}; \
         `migrator downgrade --to {target}` goes back to it"
    )]
    AboveTarget {
        /// The number that was given.
        target: i64,
        /// Where the database is.
        current: i64,
    },
    /// Upgrade instead.
    #[error(
        "the database is at version {current}, below {target}; \
         `migrator upgrade --to {target}` brings it there"
    )]
    BelowTarget {
        /// The number that was given.
        target: i64,
        /// Where the database is.
        current: i64,
    },
    /// Try again later, or wait longer.
    #[error(
        "the database was locked by another process for {}; \
         try again, or wait longer with --lock-timeout",
        humantime::format_duration(*.0)
    )]
    Locked(Duration),
    /// Use the newer migrator that made this database.
    #[error(
        "a newer migrator made this database: it is at version {found}, and this one knows \
         {newest} at most; use the newer migrator"
    )]
    Newer {
        /// The newest migration in the history.
        found: i64,
        /// The newest that is compiled in.
        newest: i64,
    },
    /// Find the program that applied it.
    #[error(
        "migration {number:04} {name} was applied to this database, and this migrator does not \
         have it; use the migrator that applied it"
    )]
    Unknown {
        /// Its number.
        number: i64,
        /// Its name, from the history.
        name: String,
    },
    /// Restore the file that was applied, and write a new migration.
    #[error(
        "migration {number:04} {name} was changed after it had been applied; \
         restore its file, and put the change into a new migration"
    )]
    Changed {
        /// Its number.
        number: i64,
        /// Its name.
        name: String,
    },
    /// Give the migration a higher number, or downgrade below it.
    #[error(
        "migration {number:04} {name} is pending, and {applied:04}, which is newer, is applied; \
         give it a number above {applied:04}, or downgrade below it first"
    )]
    OutOfOrder {
        /// The number of the pending one.
        number: i64,
        /// Its name.
        name: String,
        /// The newest that is applied.
        applied: i64,
    },
    /// Correct the migration.
    #[error("migration {number:04} {name} could not be {direction}; nothing was changed")]
    Script {
        /// Its number.
        number: i64,
        /// Its name.
        name: String,
        /// Which of its scripts failed.
        direction: Direction,
        /// What SQLite says.
        source: sqlx::Error,
    },
    /// Correct the rows, or the migration.
    #[error(
        "{} refers to a row of {parent} that is not there; nothing was changed",
        match row { Some(row) => format!("row {row} of {table}"), None => format!("a row of {table}") }
    )]
    Orphan {
        /// The table that refers.
        table: String,
        /// The id of the row, unless the table has none.
        row: Option<i64>,
        /// The table that is referred to.
        parent: String,
    },
    /// Read what SQLite says.
    #[error("the database failed; nothing was changed")]
    Database(#[from] sqlx::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let line = chain(&error);
        match error {
            Error::Library(failure) => failure,
            Error::NotCreated { .. } | Error::Locked(_) => Failure::TryAgain(line),
            Error::NothingToDowngrade { .. }
            | Error::Foreign { .. }
            | Error::Unusable { .. }
            | Error::NoWriteAheadLog { .. }
            | Error::UnknownTarget { .. }
            | Error::AboveTarget { .. }
            | Error::BelowTarget { .. } => Failure::Setting(line),
            Error::Invalid(_)
            | Error::Newer { .. }
            | Error::Unknown { .. }
            | Error::Changed { .. }
            | Error::OutOfOrder { .. }
            | Error::Script { .. }
            | Error::Orphan { .. }
            | Error::Database(_) => Failure::Failed(line),
        }
    }
}

/// An error and its causes, in one line. A cause whose text the error above it has
/// already is left out: those of sqlx say everything twice.
fn chain(error: &dyn error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line.replace(['\n', '\r'], " ")
}
