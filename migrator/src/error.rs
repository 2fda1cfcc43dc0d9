//! Why a run did not do what it was asked for: one variant for each thing that an
//! operator can do about it. Knows no SQL.

mod code;

use std::{
    error, fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use database::sqlite::volume::Unfit;
use process::Failure;
use serde::Serialize;
use sqlx::error::DatabaseError;

use crate::{
    project::{
        self,
        migrations::{Direction, Invalid},
    },
    run::data_loss::DataLoss,
    sqlite::{backup, guard::MIGRATOR, lock_backoff::TimedOut, planner, schema},
};

/// Whatever lies beneath a failure.
type Cause = Box<dyn error::Error + Send + Sync>;

/// A place in a script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// As the repository has it, such as `post-service/migrations/0002_create_posts.up.sql`.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

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
    /// Put the database where it can be, or let this process use it.
    #[error(transparent)]
    Unfit(#[from] Unfit),
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
    /// Find out what it left behind.
    #[error(
        "migration {number:04} {name} was begun by another tool and did not succeed; \
         restore a backup, or undo by hand what it left and delete its row of _sqlx_migrations"
    )]
    Failed {
        /// Its number.
        number: i64,
        /// Its name.
        name: String,
    },
    /// Correct the migration.
    #[error(
        "migration {number:04} {name} could not be {direction}, at {place}; nothing was changed"
    )]
    Script {
        /// Where SQLite stopped.
        place: Place,
        /// Its number.
        number: i64,
        /// Its name.
        name: String,
        /// Which of its scripts failed.
        direction: Direction,
        /// What SQLite says.
        source: sqlx::Error,
    },
    /// Move it into a migration of the owner.
    #[error(
        "a migration of {owner} may not {deed}, at {place}: that is for {} to do; \
         nothing was changed",
        if whose == MIGRATOR { "the migrator".into() } else { format!("a migration of {whose}") }
    )]
    Ownership {
        /// The statement.
        place: Place,
        /// Whose migration it is.
        owner: String,
        /// What it would do.
        deed: String,
        /// Whose it is that it would do it to.
        whose: String,
    },
    /// Take it out of the migration.
    #[error("a migration may not {deed}, at {place}; take it out; nothing was changed")]
    Forbidden {
        /// The statement.
        place: Place,
        /// What it would do.
        deed: String,
    },
    /// Keep what would be lost, then say that it may be.
    #[error(
        "the downgrade would lose {}; nothing was changed; --allow-data-loss does it all the same",
        list(losses)
    )]
    DataLoss {
        /// What holds something.
        losses: Vec<DataLoss>,
    },
    /// Restore a backup instead, or say that what is lost may be lost.
    #[error(
        "migration {number:04} {name} cannot be undone{}; nothing was changed; restore a backup, \
         or --allow-data-loss undoes what can be undone",
        if why.is_empty() { String::new() } else { format!(" ({why})") }
    )]
    Irreversible {
        /// Its number.
        number: i64,
        /// Its name.
        name: String,
        /// What its way down says.
        why: String,
    },
    /// Bring the schema to what it should be.
    #[error(
        "the schema of {} is not that of version {version}, it differs in {difference}; nothing was \
         changed; `migrator diff` shows what would bring it back",
        database.display()
    )]
    Drift {
        /// The file.
        database: PathBuf,
        /// The version that was compared with.
        version: i64,
        /// What differs.
        difference: String,
    },
    /// Correct the way there; a way down that does not lead back has to say so.
    #[error(
        "the scripts do not lead to the schema of version {version}, it would differ in \
         {difference}; nothing was changed"
    )]
    NotReached {
        /// The version that was to be reached.
        version: i64,
        /// What would differ.
        difference: String,
    },
    /// Upgrade instead: it is adopted already.
    #[error(
        "{} has a history, and is at version {version}; `migrator upgrade` goes on from there",
        database.display()
    )]
    Adopted {
        /// The file.
        database: PathBuf,
        /// Where it is.
        version: i64,
    },
    /// Wait longer, or see why nobody upgrades it.
    #[error(
        "{} is {} after {}, and not at version {wanted}; `migrator upgrade` brings it there",
        database.display(),
        match version { Some(version) => format!("at version {version}"), None => "not there".into() },
        humantime::format_duration(*waited)
    )]
    Behind {
        /// The file.
        database: PathBuf,
        /// Where it is, or `None` if there is no database yet.
        version: Option<i64>,
        /// Where it should be.
        wanted: i64,
        /// How long it was waited for.
        waited: Duration,
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
    /// Declare it in another way.
    #[error("the declaration of {object} cannot be compared: {why}")]
    Schema {
        /// Its kind and name, such as `table users`.
        object: String,
        /// What is in the way.
        why: String,
    },
    /// Name the right folder, or correct what is in it.
    #[error(transparent)]
    Project(#[from] project::Error),
    /// Correct the declaration.
    #[error("what is declared cannot be made, at {place}")]
    Declaration {
        /// Where SQLite stopped.
        place: Place,
        /// What SQLite says.
        source: sqlx::Error,
    },
    /// Give it back.
    #[error(
        "table {table} was made by {made} and is declared by {declares}; a table stays whose it is"
    )]
    Moved {
        /// The table.
        table: String,
        /// Whose migration made it.
        made: String,
        /// Who declares it.
        declares: String,
    },
    /// Say what it was called before, or that it is new.
    #[error(
        "{new} may be new, or {candidates} renamed: write `-- @renamed from=…` beside it, or `-- @added` if it is new"
    )]
    Ambiguous {
        /// What is new, as `column users.bio`.
        new: String,
        /// What it may have been called.
        candidates: String,
    },
    /// Declare it in another way.
    #[error("no migration can be written: {0}")]
    Unplannable(String),
    /// Keep what would be lost, then say that it may be.
    #[error(
        "the migration of {owner} would destroy {what}; --allow-data-loss writes it all the same"
    )]
    Destroys {
        /// Whose migration it is.
        owner: String,
        /// What is lost, with commas.
        what: String,
    },
    /// Write it by hand, and report what was declared.
    #[error(
        "the migration that was planned does not lead to what is declared when it is {direction}; nothing was written"
    )]
    Unproven {
        /// Which way failed.
        direction: Direction,
    },
    /// Make room for the file.
    #[error("{} cannot be written; nothing of it was", file.display())]
    Unwritten {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// See what is in the way of it.
    #[error(transparent)]
    Backup(#[from] backup::Error),
    /// Make room.
    #[error("the disk of the database is full; make room on it; nothing was changed")]
    Full(#[source] sqlx::Error),
    /// Read what SQLite says.
    #[error("the database failed; nothing was changed")]
    Database(#[source] sqlx::Error),
}

impl From<TimedOut> for Error {
    fn from(TimedOut(limit): TimedOut) -> Self {
        Self::Locked(limit)
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(DatabaseError::code);
        match code.as_deref() {
            // SQLITE_FULL, and SQLITE_IOERR_SHMSIZE: the index of the log cannot grow.
            Some("13" | "4874") => Self::Full(error),
            _ => Self::Database(error),
        }
    }
}

impl From<planner::Error> for Error {
    fn from(error: planner::Error) -> Self {
        match error {
            planner::Error::Ambiguous(question) => Self::Ambiguous {
                new: question.subject(),
                candidates: question.old(),
            },
            error => Self::Unplannable(error.to_string()),
        }
    }
}

impl From<schema::Error> for Error {
    fn from(error: schema::Error) -> Self {
        match error {
            schema::Error::Database(error) => error.into(),
            schema::Error::Unsupported { object, why } => Self::Schema { object, why },
        }
    }
}

impl Error {
    /// The same; but what failed because the file cannot be written is no fault of a script.
    pub(crate) fn or_read_only(self, database: &Path) -> Self {
        // SQLITE_READONLY, see <https://sqlite.org/rescode.html>.
        const READ_ONLY: i32 = 8;
        let is_read_only = |source: &sqlx::Error| {
            let code = source
                .as_database_error()
                .and_then(|error| error.code()?.parse::<i32>().ok());
            code.is_some_and(|code| code & 0xFF == READ_ONLY)
        };
        match self {
            Self::Script { source, .. } | Self::Database(source) if is_read_only(&source) => {
                Self::Unusable {
                    database: database.to_owned(),
                    source: source.into(),
                }
            }
            other => other,
        }
    }
}

/// What would be lost, with commas.
fn list(losses: &[DataLoss]) -> String {
    let losses: Vec<_> = losses.iter().map(DataLoss::to_string).collect();
    losses.join(", ")
}
