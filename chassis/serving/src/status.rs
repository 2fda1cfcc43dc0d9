//! Statuses with their details: every failure carries one `google.rpc.ErrorInfo`, whose
//! reason is stable, and what else helps the caller to go on.

use std::{collections::HashMap, error::Error, fmt::Write, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::{call_context, violation::FieldViolations};

/// How long a caller should wait before it tries again what failed for the load of the
/// moment.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// How much of what is wrong is told, in bytes. A status travels in headers, of which some
/// clients take no more than 8 KiB, and in base64, which is a third longer.
const MAX_DETAIL_BYTES: usize = 3000;

/// The longest message, in bytes as it travels: percent-encoded, and once more in the
/// details.
const MAX_MESSAGE_BYTES: usize = 1000;

/// Facts of a failure beyond its reason, for programs.
pub type Metadata = HashMap<String, String>;

/// A failure that a caller can do something about.
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

/// A request with fields that are wrong: `INVALID_ARGUMENT` with a
/// `google.rpc.BadRequest` that names each, and the reason that they share.
///
/// Of very many only the first are named, as far as headers can hold them; the ErrorInfo
/// then has the metadata `violations`, how many there are.
#[must_use]
pub fn invalid_argument(
    domain: &str,
    violations: &FieldViolations,
    mut metadata: Metadata,
) -> Status {
    let mut left = MAX_DETAIL_BYTES;
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
    let message = truncate_for_headers(violations.to_string());
    Status::with_error_details(Code::InvalidArgument, message, details)
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
    Status::with_error_details(
        Code::Unavailable,
        truncate_for_headers(message.into()),
        details,
    )
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
    internal_already_logged(domain)
}

/// The `INTERNAL` status of a failure that is in the log already.
pub(crate) fn internal_already_logged(domain: &str) -> Status {
    let mut metadata = Metadata::new();
    let mut message = "an internal failure".to_owned();
    if let Some(id) = call_context::request_id() {
        let _ = write!(message, "; the log tells more of request {id}");
        metadata.insert("request_id".into(), id);
    }
    with_error_info(domain, Code::Internal, "INTERNAL", message, metadata)
}

/// The message, cut if headers could not hold it.
fn truncate_for_headers(mut message: String) -> String {
    let mut length = 0;
    let end = message.char_indices().find_map(|(index, c)| {
        // What is not plain ASCII takes three bytes for each of its own.
        length += if c.is_ascii() { 1 } else { 3 * c.len_utf8() };
        (length > MAX_MESSAGE_BYTES).then_some(index)
    });
    if let Some(end) = end {
        message.truncate(end);
        message.push('…');
    }
    message
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What a status takes in headers, in bytes.
    fn size(status: &Status) -> usize {
        let mut headers = http::HeaderMap::new();
        status.add_header(&mut headers).unwrap();
        headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 32)
            .sum()
    }

    #[test]
    fn whatever_is_wrong_is_told_in_less_than_8_kib_of_headers() {
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
    fn a_message_that_fits_is_left_alone() {
        assert_eq!(truncate_for_headers("é".repeat(166)), "é".repeat(166));
        assert_eq!(
            truncate_for_headers("a".repeat(1001)),
            "a".repeat(1000) + "…"
        );
    }
}
