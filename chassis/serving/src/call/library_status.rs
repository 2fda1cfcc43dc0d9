//! Normalizes statuses that the gRPC libraries produce: adds an ErrorInfo, and corrects the code to
//! the one of the contract.
//!
//! A status without details is a library's, since every status of a handler has details. Where its
//! code is ambiguous, the texts of tonic 0.14 and prost 0.14 decide.

use http::HeaderMap;
use tonic::{Code, Status};

use crate::{
    grpc_status,
    status::{self, Metadata},
};

/// The start of tonic's message for a request that is too large. tonic uses `OUT_OF_RANGE`, where the
/// gRPC guide specifies `RESOURCE_EXHAUSTED`.
const TOO_LARGE: &str = "Error, decoded message length too large";

/// The starts of the messages of tonic, tonic-web and prost for a malformed request, which they
/// report as `INTERNAL`.
const MALFORMED: [&str; 5] = [
    "failed to decode Protobuf message: ",
    "protocol error: received message with ",
    "Unexpected EOF decoding stream.",
    "Missing request message.",
    "tonic-web: ",
];

/// Normalizes the status in `headers`, which may be trailers. A success, and a failure that has
/// details, stay unchanged. Returns the code, or `None` if the headers do not end the call.
pub(crate) fn normalize(headers: &mut HeaderMap, context: &CallInfo<'_>) -> Option<Code> {
    let code = grpc_status::code(headers)?;
    if code == Code::Ok || headers.contains_key(&grpc_status::DETAILS) {
        return Some(code);
    }
    let status = Status::from_header_map(headers)?;
    let normalized = context.normalized(&status);
    grpc_status::write(&normalized, headers);
    Some(normalized.code())
}

/// The call whose status is normalized.
#[derive(Debug)]
pub(crate) struct CallInfo<'a> {
    /// The domain of every ErrorInfo.
    pub(crate) domain: &'a str,
    /// The path of the call.
    pub(crate) path: &'a str,
    /// The largest message that is accepted, in bytes.
    pub(crate) max_message_bytes: usize,
}

impl CallInfo<'_> {
    fn normalized(&self, status: &Status) -> Status {
        let text = status.message();
        let (code, reason, message) = match status.code() {
            Code::OutOfRange if text.starts_with(TOO_LARGE) => (
                Code::ResourceExhausted,
                "MESSAGE_TOO_LARGE",
                format!(
                    "the message is larger than the limit of {} bytes",
                    self.max_message_bytes
                ),
            ),
            Code::Internal if MALFORMED.iter().any(|start| text.starts_with(start)) => (
                Code::InvalidArgument,
                "MALFORMED_MESSAGE",
                format!("the request is not a message of this method: {text}"),
            ),
            Code::Unimplemented if text.is_empty() => (
                Code::Unimplemented,
                "UNIMPLEMENTED",
                // The path can be as long as the largest header.
                format!("this server has no method {:.200}", self.path),
            ),
            code => (code, grpc_status::name(code), text.to_owned()),
        };
        status::with_error_info(self.domain, code, reason, message, Metadata::new())
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt;

    use super::*;

    fn normalized(status: &Status) -> Status {
        let mut headers = HeaderMap::new();
        grpc_status::write(status, &mut headers);
        let context = CallInfo {
            domain: "test",
            path: "/test.v1.Test/Get",
            max_message_bytes: 100,
        };
        normalize(&mut headers, &context);
        Status::from_header_map(&headers).unwrap()
    }

    fn reason(status: &Status) -> String {
        status.get_details_error_info().unwrap().reason
    }

    #[test]
    fn a_failure_without_details_gets_its_code_as_reason() {
        let status = normalized(&Status::not_found("symbol 'x' not found"));

        assert_eq!(status.code(), Code::NotFound);
        assert_eq!(reason(&status), "NOT_FOUND");
        assert_eq!(status.message(), "symbol 'x' not found");
    }

    #[test]
    fn an_internal_status_with_another_text_stays_internal() {
        let status = normalized(&Status::internal("Error encoding: no room"));

        assert_eq!(status.code(), Code::Internal);
        assert_eq!(reason(&status), "INTERNAL");
    }

    #[test]
    fn a_failure_with_details_stays_unchanged() {
        let handlers = status::with_error_info(
            "ours",
            Code::Internal,
            "OURS",
            "Missing request message.",
            Metadata::new(),
        );

        let status = normalized(&handlers);

        assert_eq!(status.code(), Code::Internal);
        assert_eq!(reason(&status), "OURS");
    }

    #[test]
    fn a_success_stays_unchanged() {
        let mut headers = HeaderMap::new();
        grpc_status::write(&Status::ok(""), &mut headers);
        let before = headers.clone();

        let context = CallInfo {
            domain: "test",
            path: "/",
            max_message_bytes: 1,
        };
        normalize(&mut headers, &context);

        assert_eq!(headers, before);
    }
}
