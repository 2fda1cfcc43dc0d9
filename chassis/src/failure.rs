//! Failures of the database, as the statuses that callers get for them.

use serving::status::{Metadata, internal, shutting_down, unavailable, with_error_info};
use tonic::{Code, Status};

/// A failure of the database: one of the moment, or an internal one.
#[must_use]
pub fn from_database_error(domain: &str, error: &database::Error, metadata: Metadata) -> Status {
    match error {
        database::Error::Overloaded => unavailable(
            domain,
            "OVERLOADED",
            "more is asked of the database than it does at once; try again a little later",
            metadata,
        ),
        database::Error::Busy => unavailable(
            domain,
            "DATABASE_BUSY",
            "another process kept the database locked; try again",
            metadata,
        ),
        database::Error::DiskFull => unavailable(
            domain,
            "STORAGE_FULL",
            "the disk of the database is full; writes fail until space is freed",
            metadata,
        ),
        database::Error::ShuttingDown => shutting_down(domain),
        database::Error::OutcomeUnknown => with_error_info(
            domain,
            Code::Unknown,
            "OUTCOME_UNKNOWN",
            "the database was lost while it committed, so the change may have been made; read \
             before you try again, or use a request id",
            metadata,
        ),
        database::Error::Engine(_) => internal(domain, error),
    }
}
