//! The access log: one line for each call, when it ends.

use std::time::{Duration, Instant};

use http::{HeaderMap, uri::PathAndQuery};
use tonic::Code;
use tracing::Level;

use crate::{grpc_status, request_id::RequestId};

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

/// The entry of one call in the access log. Every call has one, and every call ends in
/// [`AccessLogEntry::emit`]: refused or handled, with a response or a stream, in time or not.
/// A call whose entry is dropped before its end was cancelled by its client.
#[derive(Debug)]
pub(crate) struct AccessLogEntry {
    path: Option<PathAndQuery>,
    id: RequestId,
    started: Instant,
    /// The time until the response started: a client that reads slowly makes no slow call.
    response_after: Option<Duration>,
    /// A call that takes longer is slow. A stream never is.
    slow_call_threshold: Option<Duration>,
    emitted: bool,
}

impl AccessLogEntry {
    /// The entry of a call that started at `started`.
    pub(crate) fn new(
        path: Option<PathAndQuery>,
        id: RequestId,
        started: Instant,
        slow_call_threshold: Option<Duration>,
    ) -> Self {
        Self {
            path,
            id,
            started,
            response_after: None,
            slow_call_threshold,
            emitted: false,
        }
    }

    /// The path of the method.
    pub(crate) fn path(&self) -> &str {
        self.path.as_ref().map_or("", PathAndQuery::path)
    }

    /// Notes that the response starts.
    pub(crate) fn response_started(&mut self) {
        self.response_after = Some(self.started.elapsed());
    }

    /// Ends the call with `code`, which `headers`, or trailers, carry.
    pub(crate) fn finish(&mut self, code: Code, headers: &HeaderMap) {
        let reason = match code {
            Code::Ok => None,
            _ => grpc_status::reason(headers),
        };
        self.emit(code, reason.as_deref());
    }

    /// The one place that sees the end of every call, once: its method, code, reason and time.
    fn emit(&mut self, code: Code, reason: Option<&str>) {
        if std::mem::replace(&mut self.emitted, true) {
            return;
        }
        let took = self.started.elapsed();
        let slow = self
            .slow_call_threshold
            .is_some_and(|limit| self.response_after.unwrap_or(took) > limit);
        // The level of an event has to be known when it is compiled, and what an event says
        // is looked up only if somebody wants it.
        macro_rules! line {
            ($level:expr) => {
                tracing::event!(
                    $level,
                    method = self.path(),
                    code = grpc_status::name(code),
                    reason,
                    ms = millis(took),
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
}

impl Drop for AccessLogEntry {
    fn drop(&mut self) {
        self.emit(Code::Cancelled, None);
    }
}

/// A time in milliseconds, to the microsecond: more digits would be noise.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

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
