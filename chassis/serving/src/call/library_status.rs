//! Failures that were not born in a handler but in the gRPC library: they get the
//! details that every failure has, and the codes that the contract gives them.
//!
//! They are told by their lack of details, since every status of ours has some, and
//! where the code misleads by the text that tonic 0.14 and prost 0.14 give them.

use http::HeaderMap;
use tonic::{Code, Status};

use crate::{
    grpc_status,
    status::{self, Metadata},
};

/// How tonic begins to say that a request is larger than it accepts: `OUT_OF_RANGE`,
/// where the gRPC guide wants `RESOURCE_EXHAUSTED`.
const TOO_LARGE: &str = "Error, decoded message length too large";

/// How tonic, tonic-web and prost begin to say, as `INTERNAL`, that a request is no
/// message.
const MALFORMED: [&str; 5] = [
    "failed to decode Protobuf message: ",
    "protocol error: received message with ",
    "Unexpected EOF decoding stream.",
    "Missing request message.",
    "tonic-web: ",
];

/// Gives a failure in `headers`, or in trailers, the details that it lacks. What succeeded,
/// and what has details, stays as it is. The code with which the call ends there, if it
/// does.
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
        let said = status.message();
        let (code, reason, message) = match status.code() {
            Code::OutOfRange if said.starts_with(TOO_LARGE) => (
                Code::ResourceExhausted,
                "MESSAGE_TOO_LARGE",
                format!(
                    "the message is larger than the {} bytes that are accepted",
                    self.max_message_bytes
                ),
            ),
            Code::Internal if MALFORMED.iter().any(|text| said.starts_with(text)) => (
                Code::InvalidArgument,
                "MALFORMED_MESSAGE",
                format!("the request is no message of this method: {said}"),
            ),
            Code::Unimplemented if said.is_empty() => (
                Code::Unimplemented,
                "UNIMPLEMENTED",
                // A path can be as long as headers can be.
                format!("this server has no method {:.200}", self.path),
            ),
            code => (code, grpc_status::name(code), said.to_owned()),
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
    fn a_failure_without_details_gets_its_code_as_the_reason() {
        let status = normalized(&Status::not_found("symbol 'x' not found"));

        assert_eq!(status.code(), Code::NotFound);
        assert_eq!(reason(&status), "NOT_FOUND");
        assert_eq!(status.message(), "symbol 'x' not found");
    }

    #[test]
    fn an_internal_failure_that_is_not_about_the_request_stays_internal() {
        let status = normalized(&Status::internal("Error encoding: no room"));

        assert_eq!(status.code(), Code::Internal);
        assert_eq!(reason(&status), "INTERNAL");
    }

    #[test]
    fn a_failure_with_details_stays_as_it_is() {
        let ours = status::with_error_info(
            "ours",
            Code::Internal,
            "OURS",
            "Missing request message.",
            Metadata::new(),
        );

        let status = normalized(&ours);

        assert_eq!(status.code(), Code::Internal);
        assert_eq!(reason(&status), "OURS");
    }

    #[test]
    fn a_success_stays_as_it_is() {
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
