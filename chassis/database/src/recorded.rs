//! The statements of a service, as sqlx records them at compile time.

use process::ExitError;
use serde::Deserialize;
use sqlx::AssertSqlSafe;

use crate::{Requirements, readiness::NotReady};

/// A recorded statement.
#[derive(Deserialize)]
pub(crate) struct Recorded {
    /// The engine that the statement is for.
    db_name: String,
    query: String,
}

impl Recorded {
    /// Returns the statements for an engine, which sqlx calls `db_name`.
    pub(crate) fn all(
        requirements: &Requirements,
        db_name: &str,
    ) -> Result<Vec<AssertSqlSafe<String>>, NotReady> {
        let mut statements = Vec::new();
        for recorded in (requirements.statements)() {
            let recorded: Self = serde_json::from_str(recorded).map_err(|error| {
                NotReady::Fatal(ExitError::Failed(format!(
                    "a recorded statement cannot be decoded: {error}"
                )))
            })?;
            if recorded.db_name == db_name {
                // sqlx recorded it at compile time; it contains no text of a caller.
                statements.push(AssertSqlSafe(recorded.query));
            }
        }
        Ok(statements)
    }
}
