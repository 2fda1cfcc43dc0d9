//! Statuses with their details: every failure carries one `google.rpc.ErrorInfo`, whose
//! reason is stable, and what else helps the caller to go on.

use std::{collections::HashMap, error::Error, fmt::Write, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::{database, serve::request_id, violation::Violations};

/// How long a caller should wait before it tries again what failed for the load of the
/// moment.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// How much of what is wrong is told, in bytes. A status travels in headers, of which some
/// clients take no more than 8 KiB, and in base64, which is a third longer.
const TOLD: usize = 3000;

/// Facts of a failure beyond its reason, for programs.
pub type Metadata = HashMap<String, String>;

/// A failure that a caller can do something about.
#[must_use]
pub fn refused(
    domain: &str,
    code: Code,
    reason: &str,
    message: impl Into<String>,
    metadata: Metadata,
) -> Status {
    let details = ErrorDetails::with_error_info(reason, domain, metadata);
    Status::with_error_details(code, message, details)
}

/// A request with fields that are wrong: `INVALID_ARGUMENT` with a
/// `google.rpc.BadRequest` that names each, and the reason that they share.
///
/// Of very many only the first are named, as far as headers can hold them; the ErrorInfo
/// then has the metadata `violations`, how many there are.
#[must_use]
pub fn invalid(domain: &str, violations: &Violations, mut metadata: Metadata) -> Status {
    let mut left = TOLD;
    let told: Vec<_> = violations
        .iter()
        .map_while(|violation| {
            left = left.checked_sub(violation.field.len() + violation.description.len())?;
            Some(FieldViolation::new(
                &violation.field,
                &violation.description,
            ))
        })
        .collect();
    if told.len() < violations.count() {
        metadata.insert("violations".into(), violations.count().to_string());
    }
    let mut details = ErrorDetails::with_error_info(violations.reason(), domain, metadata);
    details.set_bad_request(told);
    Status::with_error_details(Code::InvalidArgument, violations.to_string(), details)
}

/// A failure of the moment: `UNAVAILABLE` with a `google.rpc.RetryInfo`.
#[must_use]
pub fn unavailable(
    domain: &str,
    reason: &str,
    message: impl Into<String>,
    metadata: Metadata,
) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, domain, metadata);
    details.set_retry_info(Some(RETRY_DELAY));
    Status::with_error_details(Code::Unavailable, message, details)
}

/// What a server that is about to end answers to what it no longer does.
#[must_use]
pub fn shutting_down(domain: &str) -> Status {
    unavailable(
        domain,
        "SHUTTING_DOWN",
        "this server is shutting down; try again, on another connection",
        Metadata::new(),
    )
}

/// A failure that is ours: `INTERNAL`. The whole chain of causes goes to the log, here
/// and nowhere else; the caller learns only the request id to ask about.
#[must_use]
pub fn internal(domain: &str, error: &dyn Error) -> Status {
    tracing::error!(error = chain(error), "an internal failure");
    internal_logged(domain)
}

/// The `INTERNAL` status of a failure that is in the log already.
pub(crate) fn internal_logged(domain: &str) -> Status {
    let mut metadata = Metadata::new();
    let mut message = "an internal failure".to_owned();
    if let Some(id) = request_id::current() {
        let _ = write!(message, "; the log tells more of request {id}");
        metadata.insert("request_id".into(), id);
    }
    refused(domain, Code::Internal, "INTERNAL", message, metadata)
}

/// A failure of the database: one of the moment, or an internal one.
#[must_use]
pub fn database(domain: &str, error: &database::Error, metadata: Metadata) -> Status {
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
        database::Error::ShuttingDown => shutting_down(domain),
        database::Error::Engine(_) => internal(domain, error),
    }
}

/// An error and its causes, in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
