//! The failure of a script.

use crate::{
    error::exit::Exit, project::migrations::Direction, sql::location::SourceLocation,
    sqlite::guard::MIGRATOR,
};

/// The reason why a script was not executed to its end, with the location.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// Correct the migration.
    #[error("migration {number:04} {name} could not be {direction}, at {location}")]
    Script {
        /// The location of SQLite's error.
        location: SourceLocation,
        /// The number of the migration.
        number: i64,
        /// The name of the migration.
        name: String,
        /// The direction of the script.
        direction: Direction,
        /// SQLite's error.
        source: sqlx::Error,
    },
    /// Move it into a migration of the owner.
    #[error(
        "a migration of {owner} may not {operation}, at {location}: that is for {} to do",
        if whose == MIGRATOR { "the migrator".into() } else { format!("a migration of {whose}") }
    )]
    Ownership {
        /// The location of the statement.
        location: SourceLocation,
        /// The owner of the migration.
        owner: String,
        /// The denied operation.
        operation: String,
        /// The owner of the object.
        whose: String,
    },
    /// Take it out of the migration.
    #[error("a migration may not {operation}, at {location}; take it out")]
    Forbidden {
        /// The location of the statement.
        location: SourceLocation,
        /// The denied operation.
        operation: String,
    },
}

impl ExecuteError {
    /// Returns the exit code and the machine-readable reason.
    pub(crate) fn exit_and_reason(&self) -> (Exit, &'static str) {
        match self {
            Self::Script { .. } => (Exit::Failed, "FAILED_STATEMENT"),
            Self::Ownership { .. } => (Exit::Refused, "OWNERSHIP"),
            Self::Forbidden { .. } => (Exit::Refused, "FORBIDDEN_STATEMENT"),
        }
    }

    pub(crate) fn location(&self) -> &SourceLocation {
        let (Self::Script { location, .. }
        | Self::Ownership { location, .. }
        | Self::Forbidden { location, .. }) = self;
        location
    }
}
