//! The errors of generating a migration.

use std::{io, path::PathBuf};

use super::exit::Exit;
use crate::{project::migrations::Direction, sql::location::SourceLocation, sqlite::planner};

/// No migration was written.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// Correct the declaration.
    #[error("SQLite rejects the declaration at {location}")]
    Declaration {
        /// The position at which SQLite stopped.
        location: SourceLocation,
        /// The error of SQLite.
        source: sqlx::Error,
    },
    /// Remove the statement from `schema.sql`.
    #[error("the statement at {location} cannot be in schema.sql: {reason}")]
    NotDeclaration {
        /// The start of the statement.
        location: SourceLocation,
        /// The reason, and the remedy.
        reason: &'static str,
    },
    /// Correct the declaration.
    #[error("the {object} at {location} cannot be used: {message}")]
    Unusable {
        /// The kind and the name, such as `view v`.
        object: String,
        /// The start of the declaration.
        location: SourceLocation,
        /// The error of SQLite.
        message: String,
    },
    /// Move the declaration back to the owner.
    #[error(
        "table {table} belongs to {owner} and is declared by {declared_by}; a table cannot change \
         its owner"
    )]
    Moved {
        /// The table.
        table: String,
        /// The owner whose migration created it.
        owner: String,
        /// The owner that declares it.
        declared_by: String,
    },
    /// Add a directive to the declaration.
    #[error(
        "{new} may be new, or {candidates} renamed: write `-- @renamed from=…` beside it, or `-- @added` if it is new"
    )]
    Ambiguous {
        /// The new object, such as `column users.bio`.
        new: String,
        /// The old names that the object may have had.
        candidates: String,
    },
    /// Declare the object in another way.
    #[error("no migration can be generated: {0}")]
    Unplannable(String),
    /// Save the data, then allow the loss.
    #[error("the migration of {owner} would destroy {what}; --allow-data-loss writes it anyway")]
    Destroys {
        /// The owner of the migration.
        owner: String,
        /// The destroyed objects, separated by commas.
        what: String,
    },
    /// Write the migration by hand, and report the declaration.
    #[error(
        "the generated migration does not produce the expected schema when it is {direction}; nothing was written"
    )]
    VerificationFailed {
        /// The direction that failed.
        direction: Direction,
    },
    /// Make the file writable.
    #[error("{} cannot be written; no file was left behind", file.display())]
    Unwritten {
        /// The file.
        file: PathBuf,
        /// The error of the file system.
        source: io::Error,
    },
}

impl GenerateError {
    /// Returns the exit code and the machine-readable reason.
    pub(crate) fn exit_and_reason(&self) -> (Exit, &'static str) {
        match self {
            Self::Declaration { .. } | Self::NotDeclaration { .. } | Self::Unusable { .. } => {
                (Exit::Failed, "INVALID_DECLARATION")
            }
            Self::Moved { .. } => (Exit::Refused, "MOVED_TABLE"),
            Self::Ambiguous { .. } => (Exit::Refused, "AMBIGUOUS_RENAME"),
            Self::Unplannable(_) => (Exit::Rule, "UNPLANNABLE"),
            Self::Destroys { .. } => (Exit::Refused, "DESTROYS_DATA"),
            Self::VerificationFailed { .. } => (Exit::Failed, "VERIFICATION_FAILED"),
            // An unknown owner, or a name without a word.
            Self::Unwritten { source, .. } if source.kind() == io::ErrorKind::InvalidInput => {
                (Exit::Usage, "NOT_WRITTEN")
            }
            Self::Unwritten { .. } => (Exit::Failed, "NOT_WRITTEN"),
        }
    }
}

impl From<planner::Error> for GenerateError {
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
