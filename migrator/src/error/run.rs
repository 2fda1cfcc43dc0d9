//! The errors of a run.

use super::exit::Exit;
use crate::{run::data_loss::DataLoss, state::database_name::DatabaseName};

/// A run was aborted and rolled back.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Name another file: the named one does not exist.
    #[error(
        "the database {database} does not exist and cannot be downgraded; \
         does --database-url name the right file?"
    )]
    NothingToDowngrade {
        /// The database.
        database: DatabaseName,
    },
    /// Fix the schema by the DDL of `diff`.
    #[error(
        "the schema of {database} differs from that of version {version} in {difference}; \
         `migrator diff` prints the DDL that would fix it"
    )]
    Drift {
        /// The database.
        database: DatabaseName,
        /// The version of the expected schema.
        version: i64,
        /// The names of the objects that differ.
        difference: String,
    },
    /// Save the data, then allow the loss.
    #[error(
        "the downgrade would lose {}; --allow-data-loss downgrades anyway",
        list(losses)
    )]
    DataLoss {
        /// The dropped tables and columns with data.
        losses: Vec<DataLoss>,
    },
    /// Restore a backup instead, or allow the loss.
    #[error(
        "migration {number:04} {name} is irreversible{}; restore a backup, \
         or revert what is reversible with --allow-data-loss",
        if reason.is_empty() { String::new() } else { format!(" ({reason})") }
    )]
    Irreversible {
        /// The number of the migration.
        number: i64,
        /// The name of the migration.
        name: String,
        /// The reason that the down migration gives.
        reason: String,
    },
    /// Correct the scripts, or mark the down migration as irreversible.
    #[error(
        "the scripts do not produce the schema of version {version}; it would differ in \
         {difference}"
    )]
    NotReached {
        /// The target version.
        version: i64,
        /// The names of the objects that would differ.
        difference: String,
    },
    /// Correct the rows, or the migration.
    #[error(
        "{} refers to a missing row of {parent}",
        match row { Some(row) => format!("row {row} of {table}"), None => format!("a row of {table}") }
    )]
    Orphan {
        /// The referring table.
        table: String,
        /// The rowid, or `None` for a table WITHOUT ROWID.
        row: Option<i64>,
        /// The referenced table.
        parent: String,
    },
}

impl RunError {
    /// Returns the exit code and the machine-readable reason.
    pub(crate) fn exit_and_reason(&self) -> (Exit, &'static str) {
        match self {
            Self::NothingToDowngrade { .. } => (Exit::Config, "NOTHING_TO_DOWNGRADE"),
            Self::Drift { .. } => (Exit::Drift, "DRIFT"),
            Self::DataLoss { .. } => (Exit::Refused, "DATA_LOSS"),
            Self::Irreversible { .. } => (Exit::Refused, "IRREVERSIBLE"),
            Self::NotReached { .. } => (Exit::Failed, "NOT_REACHED"),
            Self::Orphan { .. } => (Exit::Failed, "ORPHAN"),
        }
    }
}

/// Joins losses by commas.
fn list(losses: &[DataLoss]) -> String {
    let losses: Vec<_> = losses.iter().map(DataLoss::to_string).collect();
    losses.join(", ")
}
