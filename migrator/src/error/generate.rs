//! Why no migration was written.

use std::{io, path::PathBuf};

use super::exit::Exit;
use crate::{project::migrations::Direction, sql::location::SourceLocation, sqlite::planner};

/// Why no migration was written.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// Correct the declaration.
    #[error("what is declared cannot be made, at {location}")]
    Declaration {
        /// Where SQLite stopped.
        location: SourceLocation,
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
    VerificationFailed {
        /// Which way failed.
        direction: Direction,
    },
    /// Make room for the file.
    #[error("{} cannot be written; nothing of it was", file.display())]
    Unwritten {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl GenerateError {
    /// Returns the exit code, and the word for programs.
    pub(crate) fn exit_and_reason(&self) -> (Exit, &'static str) {
        match self {
            Self::Declaration { .. } => (Exit::Failed, "INVALID_DECLARATION"),
            Self::Moved { .. } => (Exit::Refused, "MOVED_TABLE"),
            Self::Ambiguous { .. } => (Exit::Refused, "AMBIGUOUS_RENAME"),
            Self::Unplannable(_) => (Exit::Rule, "UNPLANNABLE"),
            Self::Destroys { .. } => (Exit::Refused, "DESTROYS_DATA"),
            Self::VerificationFailed { .. } => (Exit::Failed, "VERIFICATION_FAILED"),
            // No such service, or no word in the name.
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
