//! The failures of an attempt, by what they tell about its writes.
//!
//! The codes are those of PostgreSQL's appendix A, "Error Codes".

use std::sync::Arc;

use sqlx::error::DatabaseError;

use crate::Error;

/// The suffix of the constraints that keep idempotency keys unique.
const IDEMPOTENCY_CONSTRAINT: &str = "_request_id_key";

/// The failure of an attempt to execute a transaction.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing was written, and a retry may succeed. The error is for the caller if no retry does.
    Retry(Error),
    /// Nothing was written, and a retry does not help.
    Final(Error),
    /// The COMMIT was sent, and whether it succeeded is not known.
    Unknown,
}

impl Failure {
    /// Returns the failure of a statement before COMMIT.
    pub(super) fn of_statement(error: sqlx::Error) -> Self {
        let code = match &error {
            sqlx::Error::Database(cause) => cause.code().unwrap_or_default().into_owned(),
            // The connection was lost.
            sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => return Self::Retry(Error::Busy),
            _ => return Self::Final(engine(error)),
        };
        match code.as_str() {
            // serialization_failure, deadlock_detected
            "40001" | "40P01"
            // read_only_sql_transaction: this server is a standby by now.
            | "25006"
            // admin_shutdown, crash_shutdown, cannot_connect_now
            | "57P01" | "57P02" | "57P03"
            // too_many_connections
            | "53300" => Self::Retry(Error::Busy),
            // Connection exceptions.
            code if code.starts_with("08") => Self::Retry(Error::Busy),
            // unique_violation: another process saved a response under the same key.
            "23505" if constraint(&error).is_some_and(|name| name.ends_with(IDEMPOTENCY_CONSTRAINT)) => {
                Self::Retry(Error::Busy)
            }
            // feature_not_supported: a migration changed the type of a result ("cached plan must not
            // change result type"). A new connection has no plans.
            "0A000" => Self::Retry(engine(error)),
            // lock_not_available, query_canceled: the limits of the transaction.
            "55P03" | "57014" => Self::Final(Error::Busy),
            // disk_full
            "53100" => Self::Final(Error::DiskFull),
            _ => Self::Final(engine(error)),
        }
    }

    /// Returns the failure of a COMMIT.
    pub(super) fn of_commit(error: &sqlx::Error) -> Self {
        match error {
            // The server has rolled back: a deferred check, or a conflict.
            sqlx::Error::Database(cause)
                if cause
                    .code()
                    .is_some_and(|code| code.starts_with("40") && code != "40003") =>
            {
                Self::Retry(Error::Busy)
            }
            // Everything else, such as the end of the server, may come after the commit, while it
            // waits for a standby.
            _ => Self::Unknown,
        }
    }
}

fn engine(error: sqlx::Error) -> Error {
    Error::Engine(Arc::new(error))
}

/// Returns the name of the constraint that a statement violated.
#[must_use]
pub fn constraint(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error()?.constraint()
}

/// Returns the result of a statement, or `None` if it violates a constraint (class 23).
///
/// # Errors
///
/// Every other error.
pub fn none_on_constraint_violation<T>(
    result: Result<T, sqlx::Error>,
) -> Result<Option<T>, sqlx::Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) => {
            let code = error.as_database_error().and_then(DatabaseError::code);
            if code.is_some_and(|code| code.starts_with("23")) {
                Ok(None)
            } else {
                Err(error)
            }
        }
    }
}
