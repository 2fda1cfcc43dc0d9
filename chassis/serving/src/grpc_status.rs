//! Reads and writes the status of a call in headers or trailers.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, HeaderName, HeaderValue};
use prost::Message;
use tonic::{Code, Status};
use tonic_types::{ErrorInfo, pb};

/// The header or trailer with the code of a status.
static STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The header or trailer with the details of a status.
pub(super) static DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// Returns the code in `headers`, which may be trailers, or `None` if they do not end the call.
pub(super) fn code(headers: &HeaderMap) -> Option<Code> {
    let code = headers.get(&STATUS)?;
    Some(Code::from_bytes(code.as_bytes()))
}

/// Returns the reason in `headers`, which may be trailers, or `None` without valid details.
pub(super) fn reason(headers: &HeaderMap) -> Option<String> {
    // gRPC clients and servers send binary headers with and without padding.
    const BASE64: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let encoded = headers.get(&DETAILS)?;
    let status = BASE64.decode(encoded.as_bytes()).ok()?;
    let details = pb::Status::decode(status.as_slice()).ok()?.details;
    let info = details
        .iter()
        .find(|any| any.type_url == ErrorInfo::TYPE_URL)?;
    Some(pb::ErrorInfo::decode(info.value.as_slice()).ok()?.reason)
}

/// Writes `status` into `headers`, which may be trailers.
pub(super) fn write(status: &Status, headers: &mut HeaderMap) {
    if status.add_header(headers).is_err() {
        // Message and details are encoded as ASCII, so only invalid metadata can fail.
        // 13 is INTERNAL.
        headers.insert(&STATUS, HeaderValue::from_static("13"));
    }
}

/// Returns the name of a code in the gRPC specification, such as `NOT_FOUND`.
pub(super) fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Metadata, with_error_info};

    #[test]
    fn the_reason_is_read_from_the_details() {
        let status = with_error_info(
            "test",
            Code::NotFound,
            "NO_SUCH_THING",
            "none",
            Metadata::new(),
        );
        let mut headers = HeaderMap::new();

        write(&status, &mut headers);

        assert_eq!(code(&headers), Some(Code::NotFound));
        assert_eq!(reason(&headers).as_deref(), Some("NO_SUCH_THING"));
    }

    #[test]
    fn malformed_details_have_no_reason() {
        let mut headers = HeaderMap::new();
        headers.insert(&DETAILS, HeaderValue::from_static("%%"));

        assert_eq!(reason(&headers), None);
    }
}
