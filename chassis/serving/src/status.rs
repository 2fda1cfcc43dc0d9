//! Statuses with error details: every failure has one `google.rpc.ErrorInfo` with a stable reason, and
//! a `BadRequest` or a `RetryInfo` where it helps the caller. All of it fits into headers.

use std::{collections::HashMap, error::Error, fmt::Write, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::{call_context, violation::FieldViolations};

/// The time that a caller should wait before it retries a call that failed for a lack of resources.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// The largest size of the field violations in a status, in bytes. A status is sent in headers, which
/// some clients limit to 8 KiB, and in base64, which is 33 % longer.
const MAX_DETAIL_BYTES: usize = 3000;

/// The largest size of a message, in percent-encoded bytes. It is sent twice: as the message and in
/// the details.
const MAX_MESSAGE_BYTES: usize = 1000;

/// The metadata of an ErrorInfo: facts about a failure, for programs.
pub type Metadata = HashMap<String, String>;

/// Returns a status with an ErrorInfo.
#[must_use]
pub fn with_error_info(
    domain: &str,
    code: Code,
    reason: &str,
    message: impl Into<String>,
    metadata: Metadata,
) -> Status {
    let details = ErrorDetails::with_error_info(reason, domain, metadata);
    Status::with_error_details(code, truncate_for_headers(message.into()), details)
}

/// Returns `INVALID_ARGUMENT` with a `google.rpc.BadRequest` that lists the violations, and with the
/// reason that they share.
///
/// If headers cannot hold all of them, the first ones are listed, and the metadata `violations` of
/// the ErrorInfo is their total number.
#[must_use]
pub fn invalid_argument(
    domain: &str,
    violations: &FieldViolations,
    mut metadata: Metadata,
) -> Status {
    let mut left = MAX_DETAIL_BYTES;
    let listed: Vec<_> = violations
        .iter()
        .map_while(|violation| {
            left = left.checked_sub(violation.field.len() + violation.description.len())?;
            Some(FieldViolation::new(
                &violation.field,
                &violation.description,
            ))
        })
        .collect();
    if listed.len() < violations.count() {
        metadata.insert("violations".into(), violations.count().to_string());
    }
    let mut details = ErrorDetails::with_error_info(violations.reason(), domain, metadata);
    details.set_bad_request(listed);
    let message = truncate_for_headers(violations.to_string());
    Status::with_error_details(Code::InvalidArgument, message, details)
}

/// Returns `UNAVAILABLE` with a `google.rpc.RetryInfo`, for a transient failure.
#[must_use]
pub fn unavailable(
    domain: &str,
    reason: &str,
    message: impl Into<String>,
    metadata: Metadata,
) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, domain, metadata);
    details.set_retry_info(Some(RETRY_DELAY));
    Status::with_error_details(
        Code::Unavailable,
        truncate_for_headers(message.into()),
        details,
    )
}

/// Returns the status of a call that exceeds a limit of the server, with a `google.rpc.RetryInfo`.
pub(crate) fn overloaded(domain: &str, message: &str) -> Status {
    unavailable(domain, "OVERLOADED", message, Metadata::new())
}

/// Returns the status of a call that needs more memory than is left for its connection, with a
/// `google.rpc.RetryInfo`.
pub(crate) fn memory_limit(domain: &str) -> Status {
    resource_exhausted(
        domain,
        "MEMORY_LIMIT",
        "the server buffers too many bytes for this connection or in all; read responses, send \
         fewer calls at a time, and try again later",
        RETRY_DELAY,
    )
}

/// Returns the status of calls that fail since the database is not the one that was opened.
#[must_use]
pub fn database_replaced(domain: &str, message: &str, metadata: Metadata) -> Status {
    unavailable(domain, "DATABASE_REPLACED", message, metadata)
}

/// Returns the status of calls and streams while the database is not the one that was opened.
pub(crate) fn rejected_until_restored(domain: &str) -> Status {
    database_replaced(
        domain,
        "the database was moved, removed or replaced; calls fail until an operator restores it",
        Metadata::new(),
    )
}

/// Returns `RESOURCE_EXHAUSTED` with a `google.rpc.RetryInfo`.
#[must_use]
pub fn resource_exhausted(
    domain: &str,
    reason: &str,
    message: &str,
    retry_delay: Duration,
) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, domain, Metadata::new());
    details.set_retry_info(Some(retry_delay));
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

/// Returns the status of calls that a draining server ends or rejects.
#[must_use]
pub fn shutting_down(domain: &str) -> Status {
    unavailable(
        domain,
        "SHUTTING_DOWN",
        "the server is shutting down; retry on another connection",
        Metadata::new(),
    )
}

/// Returns `INTERNAL`, and logs the error with its chain of causes. The caller learns only the request
/// id, by which an operator finds the log line.
#[must_use]
pub fn internal(domain: &str, error: &dyn Error) -> Status {
    tracing::error!(error = chain(error), "internal error");
    internal_already_logged(domain)
}

/// Returns `INTERNAL` for a failure that the caller of this function has logged.
pub(crate) fn internal_already_logged(domain: &str) -> Status {
    let mut metadata = Metadata::new();
    let mut message = "internal error".to_owned();
    if let Some(id) = call_context::request_id() {
        let _ = write!(
            message,
            "; the server log has the cause under request id {id}"
        );
        metadata.insert("request_id".into(), id);
    }
    with_error_info(domain, Code::Internal, "INTERNAL", message, metadata)
}

/// Truncates a message to [`MAX_MESSAGE_BYTES`].
fn truncate_for_headers(mut message: String) -> String {
    let mut length = 0;
    let end = message.char_indices().find_map(|(index, c)| {
        // Percent-encoding turns each non-ASCII byte into 3 bytes.
        length += if c.is_ascii() { 1 } else { 3 * c.len_utf8() };
        (length > MAX_MESSAGE_BYTES).then_some(index)
    });
    if let Some(end) = end {
        message.truncate(end);
        message.push('…');
    }
    message
}

/// Returns an error and its chain of causes as one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the size of a status in headers, in bytes, as HTTP/2 counts it.
    fn size(status: &Status) -> usize {
        let mut headers = http::HeaderMap::new();
        status.add_header(&mut headers).unwrap();
        headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 32)
            .sum()
    }

    #[test]
    fn every_status_fits_into_8_kib_of_headers() {
        let mut violations = FieldViolations::new();
        for index in 0..2000 {
            violations.add(format!("things[{index}]"), "😀".repeat(300));
        }

        let invalid = invalid_argument("test", &violations, Metadata::new());
        let failure = with_error_info(
            "test",
            Code::NotFound,
            "NONE",
            "é".repeat(1_000_000),
            Metadata::new(),
        );

        assert!(size(&invalid) < 8192, "{}", size(&invalid));
        assert!(size(&failure) < 8192, "{}", size(&failure));
    }

    #[test]
    fn only_a_message_that_is_too_long_is_truncated() {
        assert_eq!(truncate_for_headers("é".repeat(166)), "é".repeat(166));
        assert_eq!(
            truncate_for_headers("a".repeat(1001)),
            "a".repeat(1000) + "…"
        );
    }
}
