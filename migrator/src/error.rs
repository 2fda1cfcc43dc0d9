//! The errors of the commands, by subject. Each variant stands for one action of the operator,
//! and each enum has one table of exit codes and reasons. Knows no SQL.

pub(crate) mod exit;
pub(crate) mod generate;
pub(crate) mod run;

use std::{error, path::Path};

use database::sqlite::volume::VolumeError;
use process::ExitError;

use self::{exit::Exit, generate::GenerateError, run::RunError};
use crate::{
    project::{self, migrations::InvalidMigrations},
    run::plan::PlanError,
    sql::location::SourceLocation,
    sqlite::{
        backup::error::Error as BackupError, execute::ExecuteError, planner,
        result_code::ResultCode,
    },
    state::error::DatabaseError,
};

/// A command failed. The database was not changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Build with a newer SQLite.
    #[error(transparent)]
    Library(ExitError),
    /// Correct the names of the migrations.
    #[error("the migrations are invalid")]
    InvalidMigrations(#[from] InvalidMigrations),
    /// Name the right directory, or correct its files.
    #[error(transparent)]
    Project(#[from] project::Error),
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The history, the migrations and the target contradict each other.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A script failed or was denied.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// The run was aborted.
    #[error(transparent)]
    Run(#[from] RunError),
    /// No migration was written.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// No backup was made, or none was restored.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A run failed, and its transaction was rolled back.
    #[error("{0}; nothing was changed")]
    RolledBack(#[source] Box<Error>),
}

impl From<VolumeError> for Error {
    fn from(error: VolumeError) -> Self {
        DatabaseError::from(error).into()
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        DatabaseError::from(error).into()
    }
}

impl From<planner::Error> for Error {
    fn from(error: planner::Error) -> Self {
        GenerateError::from(error).into()
    }
}

impl Error {
    /// Returns the cause of a rolled-back run. Returns any other error itself.
    #[must_use]
    pub fn cause(&self) -> &Self {
        match self {
            Self::RolledBack(cause) => cause,
            error => error,
        }
    }

    /// Converts into the cause, see [`Error::cause`].
    pub(crate) fn into_cause(self) -> Self {
        match self {
            Self::RolledBack(cause) => *cause,
            error => error,
        }
    }

    /// Wraps the error of a run whose transaction was rolled back. A read-only file is reported
    /// as unusable rather than as a failure of the script.
    pub(crate) fn rolled_back(self, database: &Path) -> Self {
        let cause = match self {
            Self::Execute(ExecuteError::Script { source, .. })
            | Self::Database(DatabaseError::Failed(source))
                if ResultCode::from(&source) == ResultCode::ReadOnly =>
            {
                DatabaseError::Unusable {
                    database: database.into(),
                    source: source.into(),
                }
                .into()
            }
            error => error,
        };
        Self::RolledBack(Box::new(cause))
    }

    /// Returns the code with which the program `migrator` exits.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        self.exit_and_reason().0.code()
    }

    /// Returns the machine-readable reason, which stays stable when the text changes.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.exit_and_reason().1
    }

    fn exit_and_reason(&self) -> (Exit, &'static str) {
        match self {
            Self::Library(_) => (Exit::Failed, "SQLITE_TOO_OLD"),
            Self::InvalidMigrations(_) => (Exit::History, "INVALID_MIGRATIONS"),
            Self::Project(error) => error.exit_and_reason(),
            Self::Database(error) => error.exit_and_reason(),
            Self::Plan(error) => error.exit_and_reason(),
            Self::Execute(error) => error.exit_and_reason(),
            Self::Run(error) => error.exit_and_reason(),
            Self::Generate(error) => error.exit_and_reason(),
            Self::Backup(error) => error.exit_and_reason(),
            Self::RolledBack(error) => error.exit_and_reason(),
        }
    }

    /// Returns the location in a file, if the error has one.
    #[must_use]
    pub fn location(&self) -> Option<&SourceLocation> {
        match self.cause() {
            Self::Execute(error) => Some(error.location()),
            Self::Generate(GenerateError::Declaration { location, .. }) => Some(location),
            Self::Project(error) => error.location(),
            _ => None,
        }
    }

    /// Returns the error and its sources in one line.
    #[must_use]
    pub fn line(&self) -> String {
        chain(self)
    }
}

/// Converts for programs that run migrations first, such as `microblog`: their exit code only
/// says whether to retry.
impl From<Error> for ExitError {
    fn from(error: Error) -> Self {
        let line = error.line();
        match (error.exit_and_reason().0, error.into_cause()) {
            (_, Error::Library(failure)) => failure,
            (Exit::TryAgain, _) => Self::TempFail(line),
            (Exit::Usage | Exit::Config, _)
            | (_, Error::Database(DatabaseError::Foreign { .. })) => Self::Config(line),
            _ => Self::Failed(line),
        }
    }
}

/// Joins an error and its sources in one line. Omits a source whose text the line already ends
/// with: sqlx repeats the text of SQLite.
fn chain(error: &Error) -> String {
    let mut line = error.to_string();
    let mut source = error::Error::source(error.cause());
    while let Some(error) = source {
        let text = error.to_string();
        // The prefix that sqlx adds to the text of SQLite.
        let text = text
            .strip_prefix("error returned from database: ")
            .unwrap_or(&text);
        if !line.ends_with(text) {
            line.push_str(": ");
            line.push_str(text);
        }
        source = error.source();
    }
    line.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// The files with a table of reasons.
    const TABLES: [&str; 8] = [
        include_str!("error.rs"),
        include_str!("error/generate.rs"),
        include_str!("error/run.rs"),
        include_str!("project/error.rs"),
        include_str!("run/plan.rs"),
        include_str!("sqlite/backup/error.rs"),
        include_str!("sqlite/execute/error.rs"),
        include_str!("state/error.rs"),
    ];

    /// The reasons, which clients compare with.
    const REASONS: &str = "
        ABOVE_TARGET
        ALREADY_BASELINED
        AMBIGUOUS_RENAME
        BACKUP_DAMAGED
        BACKUP_DIFFERS
        BACKUP_EXISTS
        BACKUP_FAILED
        BACKUP_FOLDER
        BACKUP_IS_DATABASE
        BACKUP_MISSING
        BACKUP_NEWER
        BACKUP_NOT_WRITTEN
        BACKUP_RECORD
        BACKUP_VERSION
        BEHIND
        BELOW_TARGET
        CHANGED_MIGRATION
        DATABASE_DAMAGED
        DATABASE_FAILED
        DATABASE_NOT_FOUND
        DATABASE_REPLACED
        DATA_LOSS
        DESTROYS_DATA
        DISK_FULL
        DRIFT
        FAILED_MIGRATION
        FAILED_STATEMENT
        FORBIDDEN_STATEMENT
        FOREIGN_DATABASE
        INCOMPLETE_HISTORY
        INVALID_DECLARATION
        INVALID_MIGRATIONS
        INVALID_PROJECT
        IRREVERSIBLE
        LOCKED
        LOG_WITHOUT_DATABASE
        MOVED_TABLE
        NETWORK_FILE_SYSTEM
        NEWER_DATABASE
        NOTHING_TO_DOWNGRADE
        NOT_AS_WRITTEN
        NOT_A_BACKUP
        NOT_PERMITTED
        NOT_REACHED
        NOT_WRITTEN
        NO_WRITE_AHEAD_LOG
        ORPHAN
        OUT_OF_ORDER
        OWNERSHIP
        PAGE_SIZE
        READ_ONLY
        SQLITE_TOO_OLD
        UNKNOWN_MIGRATION
        UNKNOWN_TARGET
        UNPLANNABLE
        UNSUPPORTED_DECLARATION
        UNUSABLE
        UNUSABLE_FILE
        VERIFICATION_FAILED
    ";

    #[test]
    fn reasons_are_stable() {
        let is_reason = |text: &&str| {
            text.len() > 3 && text.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        };
        let found: BTreeSet<_> = TABLES
            .iter()
            .filter_map(|table| table.split("#[cfg(test)]").next())
            .flat_map(|table| table.split('"').filter(is_reason))
            .collect();

        assert_eq!(found, REASONS.split_whitespace().collect());
    }
}
