//! Why a run was given up.

use super::exit::Exit;
use crate::{run::data_loss::DataLoss, state::database_name::DatabaseName};

/// Why a run was given up.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Name another file: this one is not there, so nothing can be undone in it.
    #[error(
        "there is no database {database}, so nothing can be downgraded; \
         does --database-url name the right file?"
    )]
    NothingToDowngrade {
        /// Its name.
        database: DatabaseName,
    },
    /// Bring the schema to what it should be.
    #[error(
        "the schema of {database} is not that of version {version}, it differs in {difference}; \
         `migrator diff` shows what would bring it back"
    )]
    Drift {
        /// Its name.
        database: DatabaseName,
        /// The version that was compared with.
        version: i64,
        /// What differs.
        difference: String,
    },
    /// Keep what would be lost, then say that it may be.
    #[error(
        "the downgrade would lose {}; --allow-data-loss does it all the same",
        list(losses)
    )]
    DataLoss {
        /// What holds something.
        losses: Vec<DataLoss>,
    },
    /// Restore a backup instead, or say that what is lost may be lost.
    #[error(
        "migration {number:04} {name} cannot be undone{}; restore a backup, \
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
    /// Correct the way there; a way down that does not lead back has to say so.
    #[error(
        "the scripts do not lead to the schema of version {version}, it would differ in \
         {difference}"
    )]
    NotReached {
        /// The version that was to be reached.
        version: i64,
        /// What would differ.
        difference: String,
    },
    /// Correct the rows, or the migration.
    #[error(
        "{} refers to a row of {parent} that is not there",
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
}

impl RunError {
    /// Returns the exit code, and the word for programs.
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

/// Returns what would be lost, with commas.
fn list(losses: &[DataLoss]) -> String {
    let losses: Vec<_> = losses.iter().map(DataLoss::to_string).collect();
    losses.join(", ")
}
