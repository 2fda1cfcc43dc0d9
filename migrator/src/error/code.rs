//! What other programs learn of an error: the exit code, one word, one line.

use std::{error, io};

use database::sqlite::volume::Unfit;
use process::Failure;

use super::{Error, Place};
use crate::project;

impl Error {
    /// What the program `migrator` exits with.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            // No such service, or no word in the name.
            Self::Unwritten { source, .. } if source.kind() == io::ErrorKind::InvalidInput => 2,
            Self::Library(_)
            | Self::Unwritten { .. }
            | Self::Schema { .. }
            | Self::Script { .. }
            | Self::Orphan { .. }
            | Self::NotReached { .. }
            | Self::Declaration { .. }
            | Self::Unproven { .. }
            | Self::Unfit(Unfit::Full { .. })
            | Self::Full(_)
            | Self::Database(_) => 1,
            Self::UnknownTarget { .. } | Self::AboveTarget { .. } | Self::BelowTarget { .. } => 2,
            Self::Project(error) => match error {
                project::Error::Unreadable { .. } => 64,
                project::Error::Invalid(_) => 6,
                project::Error::Malformed { .. } | project::Error::Unwritable { .. } => 1,
            },
            Self::Unplannable(_) => 5,
            Self::Drift { .. } => 4,
            Self::Backup(error) => error.exit_code(),
            Self::Invalid(_)
            | Self::Newer { .. }
            | Self::Unknown { .. }
            | Self::Changed { .. }
            | Self::OutOfOrder { .. }
            | Self::Adopted { .. }
            | Self::Failed { .. } => 6,
            Self::Foreign { .. }
            | Self::Ownership { .. }
            | Self::Forbidden { .. }
            | Self::DataLoss { .. }
            | Self::Moved { .. }
            | Self::Ambiguous { .. }
            | Self::Destroys { .. }
            | Self::Irreversible { .. } => 7,
            Self::NotCreated { .. } | Self::Locked(_) | Self::Behind { .. } => 75,
            Self::NothingToDowngrade { .. }
            | Self::Unusable { .. }
            | Self::Unfit(_)
            | Self::NoWriteAheadLog { .. } => 64,
        }
    }

    /// One word for programs, which stays as it is when the text changes.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Library(_) => "UNSAFE_LIBRARY",
            Self::Invalid(_) => "INVALID_MIGRATIONS",
            Self::NotCreated { .. } => "NOT_CREATED",
            Self::NothingToDowngrade { .. } => "NOTHING_TO_DOWNGRADE",
            Self::Foreign { .. } => "FOREIGN_DATABASE",
            Self::Unusable { .. } => "UNUSABLE_FILE",
            Self::Unfit(Unfit::Network { .. }) => "NETWORK_FILE_SYSTEM",
            Self::Unfit(Unfit::ReadOnly { .. }) => "READ_ONLY",
            Self::Unfit(Unfit::NotOurs { .. } | Unfit::Mode { .. } | Unfit::Hidden { .. }) => {
                "NOT_PERMITTED"
            }
            Self::Full(_) | Self::Unfit(Unfit::Full { .. }) => "DISK_FULL",
            Self::NoWriteAheadLog { .. } => "NO_WRITE_AHEAD_LOG",
            Self::UnknownTarget { .. } => "UNKNOWN_TARGET",
            Self::AboveTarget { .. } => "ABOVE_TARGET",
            Self::BelowTarget { .. } => "BELOW_TARGET",
            Self::Locked(_) => "LOCKED",
            Self::Newer { .. } => "NEWER_DATABASE",
            Self::Unknown { .. } => "UNKNOWN_MIGRATION",
            Self::Changed { .. } => "CHANGED_MIGRATION",
            Self::OutOfOrder { .. } => "OUT_OF_ORDER",
            Self::Failed { .. } => "FAILED_MIGRATION",
            Self::Script { .. } => "FAILED_STATEMENT",
            Self::Ownership { .. } => "OWNERSHIP",
            Self::Forbidden { .. } => "FORBIDDEN_STATEMENT",
            Self::DataLoss { .. } => "DATA_LOSS",
            Self::Irreversible { .. } => "IRREVERSIBLE",
            Self::Drift { .. } => "DRIFT",
            Self::NotReached { .. } => "NOT_REACHED",
            Self::Adopted { .. } => "ADOPTED_ALREADY",
            Self::Behind { .. } => "BEHIND",
            Self::Orphan { .. } => "ORPHAN",
            Self::Schema { .. } => "UNSUPPORTED_DECLARATION",
            Self::Project(_) => "PROJECT",
            Self::Declaration { .. } => "INVALID_DECLARATION",
            Self::Moved { .. } => "MOVED_TABLE",
            Self::Ambiguous { .. } => "AMBIGUOUS_RENAME",
            Self::Unplannable(_) => "UNPLANNABLE",
            Self::Destroys { .. } => "DESTROYS_DATA",
            Self::Unproven { .. } => "UNPROVEN",
            Self::Unwritten { .. } => "NOT_WRITTEN",
            Self::Backup(error) => error.reason(),
            Self::Database(_) => "DATABASE_FAILED",
        }
    }

    /// Where in the scripts it is, if it is in one.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Script { place, .. }
            | Self::Declaration { place, .. }
            | Self::Ownership { place, .. }
            | Self::Forbidden { place, .. } => Some(place),
            _ => None,
        }
    }

    /// The error and its causes, in one line.
    #[must_use]
    pub fn line(&self) -> String {
        chain(self)
    }
}

/// For a program that migrates and then does something else: what it exits with tells
/// whether to try again, and no more.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let line = error.line();
        match (error.exit_code(), error) {
            (_, Error::Library(failure)) => failure,
            (75, _) => Self::TryAgain(line),
            (2 | 64, _) | (_, Error::Foreign { .. }) => Self::Setting(line),
            _ => Self::Failed(line),
        }
    }
}

/// An error and its causes, in one line. A cause whose text the error above it has
/// already is left out: those of sqlx say everything twice.
fn chain(error: &Error) -> String {
    let mut line = error.to_string();
    let mut cause = error::Error::source(error);
    while let Some(error) = cause {
        let text = error.to_string();
        // What sqlx says before what SQLite says.
        let text = text
            .strip_prefix("error returned from database: ")
            .unwrap_or(&text);
        if !line.ends_with(text) {
            line.push_str(": ");
            line.push_str(text);
        }
        cause = error.source();
    }
    line.replace(['\n', '\r'], " ")
}
