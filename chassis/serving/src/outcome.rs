//! How a call ended: what its status says in headers or trailers, and the line that the
//! log gets of it.

use std::{
    any::Any,
    time::{Duration, Instant},
};

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, HeaderName, HeaderValue, uri::PathAndQuery};
use prost::Message;
use tonic::{Code, Status};
use tonic_types::{ErrorInfo, pb};
use tracing::Level;

use super::{call_context, request_id::RequestId};
use crate::status;

/// The header or trailer that carries the code of a status.
static STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The header or trailer that carries the details of a status.
pub(super) static DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// The code in `headers`, or in trailers, if they end a call.
pub(super) fn code(headers: &HeaderMap) -> Option<Code> {
    let code = headers.get(&STATUS)?;
    Some(Code::from_bytes(code.as_bytes()))
}

/// The reason in `headers`, or in trailers, of a failure that has details.
fn reason(headers: &HeaderMap) -> Option<String> {
    // Binary headers come with padding and without.
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

/// Makes `headers`, or trailers, say that a call ended with `status`.
pub(super) fn write(status: &Status, headers: &mut HeaderMap) {
    if status.add_header(headers).is_err() {
        // Text and details are encoded into ASCII, so only metadata could be at fault.
        headers.insert(&STATUS, HeaderValue::from_static("13"));
    }
}

/// The name of a code in the gRPC specification, such as `NOT_FOUND`.
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

/// How much an end matters. What a caller did wrong is information; what a server
/// could do better is a warning; what ends as it should is for those who look closely.
/// The causes of internal failures are errors, in lines of their own.
fn level(code: Code, reason: Option<&str>, slow: bool) -> Level {
    match code {
        Code::Cancelled => Level::DEBUG,
        // A drain tells every open stream so.
        Code::Unavailable if reason == Some("SHUTTING_DOWN") => Level::DEBUG,
        Code::Unavailable
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Internal
        | Code::Unknown
        | Code::DataLoss => Level::WARN,
        _ if slow => Level::WARN,
        Code::Ok => Level::DEBUG,
        _ => Level::INFO,
    }
}

/// One call, from its begin to its one line in the log. A call that is dropped before
/// its end was cancelled by its client.
#[derive(Debug)]
pub(super) struct Record {
    path: Option<PathAndQuery>,
    id: RequestId,
    begun: Instant,
    /// How long the answer took to begin: a client that reads slowly makes no slow call.
    answered: Option<Duration>,
    /// A call that takes longer is slow. A stream never is.
    slow_call: Option<Duration>,
    written: bool,
}

impl Record {
    /// Of a call that began at this time.
    pub(super) fn new(
        path: Option<PathAndQuery>,
        id: RequestId,
        begun: Instant,
        slow_call: Option<Duration>,
    ) -> Self {
        Self {
            path,
            id,
            begun,
            answered: None,
            slow_call,
            written: false,
        }
    }

    /// The path of the method.
    pub(super) fn path(&self) -> &str {
        self.path.as_ref().map_or("", PathAndQuery::path)
    }

    /// Its answer begins.
    pub(super) fn answer(&mut self) {
        self.answered = Some(self.begun.elapsed());
    }

    /// It ends with this code, which stands in `headers`, or in trailers.
    pub(super) fn end(&mut self, code: Code, headers: &HeaderMap) {
        let reason = match code {
            Code::Ok => None,
            _ => reason(headers),
        };
        self.write(code, reason.as_deref());
    }

    fn write(&mut self, code: Code, reason: Option<&str>) {
        if std::mem::replace(&mut self.written, true) {
            return;
        }
        let slow = self.slow_call.is_some_and(|limit| {
            let took = self.answered.unwrap_or_else(|| self.begun.elapsed());
            took > limit
        });
        // The level of an event has to be known when it is compiled, and what an event says
        // is looked up only if somebody wants it.
        macro_rules! line {
            ($level:expr) => {
                tracing::event!(
                    $level,
                    method = self.path(),
                    code = name(code),
                    reason,
                    ms = self.millis(),
                    request_id = self.id.as_str(),
                    "the call ended"
                )
            };
        }
        match level(code, reason, slow) {
            Level::WARN => line!(Level::WARN),
            Level::INFO => line!(Level::INFO),
            _ => line!(Level::DEBUG),
        }
    }

    /// How long it has taken, to the microsecond: more digits would be noise.
    fn millis(&self) -> f64 {
        (self.begun.elapsed().as_secs_f64() * 1e6).round() / 1e3
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.write(Code::Cancelled, None);
    }
}

/// What a call gets that panicked. The log gets the panic's text.
pub(super) fn panicked(panic: &(dyn Any + Send), method: &str, domain: &str) -> Status {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("of an unknown kind");
    let request_id = call_context::request_id();
    tracing::error!(panic = text, method, request_id, "a call panicked");
    status::internal_logged(domain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Metadata, refused};

    #[test]
    fn the_reason_is_read_from_the_details() {
        let status = refused(
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
    fn details_that_are_none_have_no_reason() {
        let mut headers = HeaderMap::new();
        headers.insert(&DETAILS, HeaderValue::from_static("%%"));

        assert_eq!(reason(&headers), None);
    }

    #[test]
    fn what_a_caller_did_wrong_is_information() {
        for code in [Code::InvalidArgument, Code::NotFound, Code::Unimplemented] {
            assert_eq!(level(code, Some("ANY"), false), Level::INFO);
        }
    }

    #[test]
    fn what_a_server_could_do_better_is_a_warning() {
        for code in [Code::Unavailable, Code::DeadlineExceeded, Code::Internal] {
            assert_eq!(level(code, Some("ANY"), false), Level::WARN);
        }
        assert_eq!(level(Code::Ok, None, true), Level::WARN);
        assert_eq!(level(Code::NotFound, Some("ANY"), true), Level::WARN);
    }

    #[test]
    fn what_ends_as_it_should_is_no_news() {
        assert_eq!(level(Code::Ok, None, false), Level::DEBUG);
        assert_eq!(level(Code::Cancelled, None, true), Level::DEBUG);
        assert_eq!(
            level(Code::Unavailable, Some("SHUTTING_DOWN"), false),
            Level::DEBUG
        );
    }
}
