//! The gRPC statuses of database errors.

use std::{sync::Arc, time::Duration};

use chassis::{database::Error, failure::from_database_error, serving::status::Metadata};
use tonic::Code;
use tonic_types::StatusExt;

#[test]
fn every_database_error_has_a_code_and_a_reason() {
    let expected = [
        (Error::Overloaded, Code::Unavailable, "OVERLOADED"),
        (Error::Busy, Code::Unavailable, "DATABASE_BUSY"),
        (Error::DiskFull, Code::Unavailable, "STORAGE_FULL"),
        (Error::Replaced, Code::Unavailable, "DATABASE_REPLACED"),
        (
            Error::ResponsesFull {
                retry_after: Duration::from_mins(1),
            },
            Code::ResourceExhausted,
            "REQUEST_ID_STORAGE_FULL",
        ),
        (Error::ShuttingDown, Code::Unavailable, "SHUTTING_DOWN"),
        (Error::OutcomeUnknown, Code::Unknown, "OUTCOME_UNKNOWN"),
        (
            Error::Engine(Arc::new(sqlx::Error::WorkerCrashed)),
            Code::Internal,
            "INTERNAL",
        ),
    ];

    for (error, code, reason) in expected {
        let status = from_database_error("test", &error, Metadata::new());

        let info = status.get_details_error_info().unwrap();
        assert_eq!((status.code(), info.reason.as_str()), (code, reason));
    }
}
