//! The access log: one line for each call, when it finishes.
//!
//! The fields have the names of the OpenTelemetry semantic conventions for RPC, where these define
//! one. No line holds anything of a message.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, uri::PathAndQuery};
use tonic::Code;
use tracing::Level;

use super::refusal_log::{RefusalLog, is_limit};
use crate::{grpc_status, request_id::RequestId};

/// Returns the level of a finished call: INFO for errors of the caller, WARN for errors of the
/// server and for slow calls, DEBUG for the rest. The cause of an internal error is logged as
/// ERROR in another line. Of the calls that a limit refuses, [`RefusalLog`] admits some.
fn level(code: Code, reason: Option<&str>, slow: bool) -> Level {
    match code {
        Code::Cancelled => Level::DEBUG,
        // A drain ends every open stream with this reason.
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

/// The entry of one call in the access log.
///
/// Every call has one, rejected calls too, and every call ends in [`AccessLogEntry::emit`]. If the
/// entry is dropped before that, the client has cancelled the call.
#[derive(Debug)]
pub(crate) struct AccessLogEntry {
    path: Option<PathAndQuery>,
    id: RequestId,
    started: Instant,
    /// The time until the response started. It decides whether the call is slow: the rest of the
    /// duration can be the client's, which reads slowly.
    response_after: Option<Duration>,
    /// The duration above which the call is slow. Streams have none.
    slow_call_threshold: Option<Duration>,
    emitted: bool,
}

impl AccessLogEntry {
    /// Creates the entry of a call that started at `started`.
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

    /// Returns the path of the method.
    pub(crate) fn path(&self) -> &str {
        self.path.as_ref().map_or("", PathAndQuery::path)
    }

    /// Records that the response starts now.
    pub(crate) fn response_started(&mut self) {
        self.response_after = Some(self.started.elapsed());
    }

    /// Finishes the call with `code`. Its reason is read from `headers`, which may be trailers.
    pub(crate) fn finish(&mut self, code: Code, headers: &HeaderMap, refusals: &Arc<RefusalLog>) {
        let reason = match code {
            Code::Ok => None,
            _ => grpc_status::reason(headers),
        };
        self.emit(code, reason.as_deref(), Some(refusals));
    }

    /// Logs the call, if it is not logged yet. Every call passes here exactly once, so a metric of
    /// calls belongs here.
    fn emit(&mut self, code: Code, reason: Option<&str>, refusals: Option<&Arc<RefusalLog>>) {
        if std::mem::replace(&mut self.emitted, true) {
            return;
        }
        let duration = self.started.elapsed();
        let slow = self
            .slow_call_threshold
            .is_some_and(|limit| self.response_after.unwrap_or(duration) > limit);
        // A tracing event takes its level at compile time.
        macro_rules! line {
            ($level:expr) => {
                tracing::event!(
                    $level,
                    rpc.method = self.path(),
                    rpc.status_code = grpc_status::name(code),
                    reason,
                    duration_ms = millis(duration),
                    request_id = self.id.as_str(),
                    "call finished"
                )
            };
        }
        let counted = is_limit(reason) && refusals.is_some_and(|refusals| !refusals.admits());
        match level(code, reason, slow) {
            Level::WARN if counted => line!(Level::DEBUG),
            Level::WARN => line!(Level::WARN),
            Level::INFO => line!(Level::INFO),
            _ => line!(Level::DEBUG),
        }
    }
}

impl Drop for AccessLogEntry {
    fn drop(&mut self) {
        self.emit(Code::Cancelled, None, None);
    }
}

/// Returns a duration in milliseconds, rounded to the microsecond.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_caller_are_logged_as_info() {
        for code in [Code::InvalidArgument, Code::NotFound, Code::Unimplemented] {
            assert_eq!(level(code, Some("ANY"), false), Level::INFO);
        }
    }

    #[test]
    fn errors_of_the_server_and_slow_calls_are_warnings() {
        for code in [Code::Unavailable, Code::DeadlineExceeded, Code::Internal] {
            assert_eq!(level(code, Some("ANY"), false), Level::WARN);
        }
        assert_eq!(level(Code::Ok, None, true), Level::WARN);
        assert_eq!(level(Code::NotFound, Some("ANY"), true), Level::WARN);
    }

    #[test]
    fn success_cancellation_and_drain_are_logged_as_debug() {
        assert_eq!(level(Code::Ok, None, false), Level::DEBUG);
        assert_eq!(level(Code::Cancelled, None, true), Level::DEBUG);
        assert_eq!(
            level(Code::Unavailable, Some("SHUTTING_DOWN"), false),
            Level::DEBUG
        );
    }
}
