//! Assertions on failed calls.

use tonic::{Code, Status};
use tonic_types::{ErrorDetail, StatusExt};

/// Asserts the code and the reason of a failure, and the promises of the contract for each failure:
/// one ErrorInfo with the `domain` of the service, a message, and a RetryInfo only for failures that
/// pass.
#[track_caller]
pub fn assert_refused(domain: &str, status: &Status, code: Code, reason: &str) {
    let details = status.get_error_details_vec();
    let infos: Vec<_> = details
        .iter()
        .filter_map(|detail| match detail {
            ErrorDetail::ErrorInfo(info) => Some((info.domain.as_str(), info.reason.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(
        (status.code(), infos.as_slice()),
        (code, [(domain, reason)].as_slice()),
        "{}",
        status.message()
    );
    assert_ne!(status.message(), "");
    assert_eq!(
        status.get_details_retry_info().is_some(),
        code == Code::Unavailable || reason == "REQUEST_ID_STORAGE_FULL",
        "RetryInfo"
    );
}

/// Asserts that a request was rejected for exactly these fields, in this order, each with a
/// description.
#[track_caller]
pub fn assert_violations(domain: &str, status: &Status, reason: &str, fields: &[&str]) {
    assert_refused(domain, status, Code::InvalidArgument, reason);
    let violations = status
        .get_details_bad_request()
        .expect("no BadRequest in the details")
        .field_violations;
    let named: Vec<_> = violations.iter().map(|v| v.field.as_str()).collect();
    assert_eq!(named, fields, "{}", status.message());
    assert!(violations.iter().all(|v| !v.description.is_empty()));
}

/// Returns the value of `key` in the metadata of a failure's ErrorInfo.
pub fn metadata(status: &Status, key: &str) -> Option<String> {
    let info = status.get_details_error_info()?;
    info.metadata.get(key).cloned()
}
