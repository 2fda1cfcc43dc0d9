//! The errors of reading and writing a project.

use std::{io, path::PathBuf};

use super::migrations::InvalidMigrations;
use crate::{error::exit::Exit, sql::location::SourceLocation};

/// A project cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Declare the tables in a `schema.sql`, or name another directory.
    #[error(
        "no directory of {} holds a schema.sql, which declares the tables; create one, or name \
         another project with --project",
        project.display()
    )]
    NoOwner {
        /// The directory of the project.
        project: PathBuf,
    },
    /// Create the file, or correct the list.
    #[error("{config} names the owner `{owner}`, but {} does not exist", schema.display())]
    MissingOwner {
        /// The path of the configuration file.
        config: String,
        /// The owner.
        owner: String,
        /// The missing file.
        schema: PathBuf,
    },
    /// Correct the configuration file.
    #[error("{location}: {message}")]
    InvalidConfig {
        /// The position of the error.
        location: SourceLocation,
        /// The error of the parser, and the remedy.
        message: String,
    },
    /// Name the directory of a project, or make the file readable.
    #[error(
        "{} cannot be read; make it readable, or name another project with --project",
        path.display()
    )]
    Unreadable {
        /// The file or the directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Correct or regenerate the file.
    #[error("{file} is malformed; {remedy}")]
    Malformed {
        /// The path in the project.
        file: String,
        /// The command that writes the file.
        remedy: &'static str,
        /// The position of the error.
        source: serde_json::Error,
    },
    /// Correct the names of the migrations.
    #[error(transparent)]
    InvalidMigrations(#[from] InvalidMigrations),
    /// Make the directory writable.
    #[error("{} cannot be written", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

impl Error {
    /// Returns the exit code and the machine-readable reason.
    pub(crate) fn exit_and_reason(&self) -> (Exit, &'static str) {
        let exit = match self {
            Self::NoOwner { .. }
            | Self::MissingOwner { .. }
            | Self::InvalidConfig { .. }
            | Self::Unreadable { .. } => Exit::Config,
            Self::InvalidMigrations(_) => Exit::History,
            Self::Malformed { .. } | Self::Unwritable { .. } => Exit::Failed,
        };
        (exit, "INVALID_PROJECT")
    }

    /// Returns the location in the configuration file, if the error has one.
    pub(crate) fn location(&self) -> Option<&SourceLocation> {
        match self {
            Self::InvalidConfig { location, .. } => Some(location),
            _ => None,
        }
    }
}
