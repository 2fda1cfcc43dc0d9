//! Maps database errors to gRPC statuses.

use serving::status::{
    Metadata, database_replaced, internal, resource_exhausted, shutting_down, unavailable,
    with_error_info,
};
use tonic::{Code, Status};

/// Returns the status of a database error: a transient one, or `INTERNAL`.
#[must_use]
pub fn from_database_error(domain: &str, error: &database::Error, metadata: Metadata) -> Status {
    match error {
        database::Error::Overloaded => unavailable(
            domain,
            "OVERLOADED",
            "the database is overloaded; try again later",
            metadata,
        ),
        database::Error::Busy => unavailable(
            domain,
            "DATABASE_BUSY",
            "another process holds the lock of the database; try again",
            metadata,
        ),
        database::Error::DiskFull => unavailable(
            domain,
            "STORAGE_FULL",
            "the disk of the database is full; writes fail until space is freed",
            metadata,
        ),
        database::Error::Replaced => database_replaced(
            domain,
            "the database was moved, removed or replaced during the call; a change may be lost, or \
             appear when the database is back",
            metadata,
        ),
        database::Error::ResponsesFull { retry_after } => resource_exhausted(
            domain,
            "REQUEST_ID_STORAGE_FULL",
            "the responses stored for request ids have reached their limit; send the call without \
             a request id, or later, when stored responses have expired",
            *retry_after,
        ),
        database::Error::ShuttingDown => shutting_down(domain),
        database::Error::OutcomeUnknown => with_error_info(
            domain,
            Code::Unknown,
            "OUTCOME_UNKNOWN",
            "the connection to the database was lost during the commit; the change may have been \
             made: read before you retry, or use a request id",
            metadata,
        ),
        database::Error::Engine(_) => internal(domain, error),
    }
}
