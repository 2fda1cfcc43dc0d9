//! Deadlines of calls: parses `grpc-timeout`, and returns the status of an exceeded deadline.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::status::{self, Metadata};

/// The header with the time that the client waits for the response.
static HEADER: HeaderName = HeaderName::from_static("grpc-timeout");

/// Returns the deadline of a call that starts `now`: after the timeout of the client or after
/// `limit`, whichever is earlier.
///
/// # Errors
///
/// `INVALID_ARGUMENT` (`INVALID_TIMEOUT`) if the timeout of the client is malformed. gRPC libraries
/// ignore such a timeout, and the call would then have no deadline.
pub(crate) fn from_headers(
    headers: &HeaderMap,
    limit: Option<Duration>,
    now: Instant,
    domain: &str,
) -> Result<Option<Instant>, Status> {
    let timeout = match headers.get(&HEADER) {
        None => None,
        Some(value) => Some(parse(value).ok_or_else(|| invalid(value, domain))?),
    };
    let shorter = match (timeout, limit) {
        (Some(timeout), Some(limit)) => Some(timeout.min(limit)),
        (timeout, limit) => timeout.or(limit),
    };
    // A deadline that the clock cannot represent is never reached.
    Ok(shorter.and_then(|timeout| now.checked_add(timeout)))
}

/// Returns the status of a call whose deadline has passed.
pub(crate) fn exceeded(domain: &str) -> Status {
    status::with_error_info(
        domain,
        Code::DeadlineExceeded,
        "DEADLINE_EXCEEDED",
        "the deadline has passed; the change may or may not have been made",
        Metadata::new(),
    )
}

fn invalid(value: &HeaderValue, domain: &str) -> Status {
    status::with_error_info(
        domain,
        Code::InvalidArgument,
        "INVALID_TIMEOUT",
        format!(
            "{HEADER} is {value:?}; it takes 1 to 8 digits and a unit, one of H, M, S, m, u \
             and n, such as 500m for half a second"
        ),
        Metadata::new(),
    )
}

/// Parses `TimeoutValue TimeoutUnit` of the gRPC protocol over HTTP/2.
fn parse(value: &HeaderValue) -> Option<Duration> {
    let (unit, digits) = value.as_bytes().split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(count * 60 * 60),
        b'M' => Duration::from_secs(count * 60),
        b'S' => Duration::from_secs(count),
        b'm' => Duration::from_millis(count),
        b'u' => Duration::from_micros(count),
        b'n' => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: &str) -> Option<Duration> {
        parse(&HeaderValue::from_str(value).unwrap())
    }

    #[test]
    fn every_unit_of_the_protocol_is_parsed() {
        assert_eq!(parsed("2H"), Some(Duration::from_hours(2)));
        assert_eq!(parsed("3M"), Some(Duration::from_mins(3)));
        assert_eq!(parsed("4S"), Some(Duration::from_secs(4)));
        assert_eq!(parsed("5m"), Some(Duration::from_millis(5)));
        assert_eq!(parsed("6u"), Some(Duration::from_micros(6)));
        assert_eq!(parsed("99999999n"), Some(Duration::from_nanos(99_999_999)));
        assert_eq!(parsed("0S"), Some(Duration::ZERO));
    }

    #[test]
    fn a_malformed_timeout_is_rejected() {
        for value in [
            "",
            "S",
            "5",
            "5s",
            "+5S",
            "-5S",
            "5 S",
            "1.5S",
            "123456789n",
        ] {
            assert_eq!(parsed(value), None, "{value:?} was accepted");
        }
    }

    #[test]
    fn the_shorter_timeout_of_client_and_server_applies() {
        let mut headers = HeaderMap::new();
        headers.insert(&HEADER, HeaderValue::from_static("10S"));
        let now = Instant::now();
        let within = |limit| {
            let deadline = from_headers(&headers, limit, now, "test").unwrap();
            deadline.unwrap() - now
        };

        assert_eq!(within(Some(Duration::from_secs(5))), Duration::from_secs(5));
        let longer = Duration::from_mins(1);
        assert_eq!(within(Some(longer)), Duration::from_secs(10));
        assert_eq!(within(None), Duration::from_secs(10));
    }

    #[test]
    fn a_call_without_any_timeout_has_no_deadline() {
        assert!(
            from_headers(&HeaderMap::new(), None, Instant::now(), "test")
                .unwrap()
                .is_none()
        );
    }
}
