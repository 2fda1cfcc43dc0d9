//! Deadlines: how long a call may take, by its headers, and what it gets when that is over.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::status::{self, Metadata};

/// The header in which a client says how long it will wait.
static HEADER: HeaderName = HeaderName::from_static("grpc-timeout");

/// The deadline of a call that begins `now`: what its client asks for, and no later than
/// after `limit`.
///
/// # Errors
///
/// `INVALID_ARGUMENT` with the reason `INVALID_TIMEOUT` if the client's time-out cannot
/// be understood. gRPC libraries take that for no time-out, which would turn a caller's
/// slip into a call without end.
pub(crate) fn from_headers(
    headers: &HeaderMap,
    limit: Option<Duration>,
    now: Instant,
    domain: &str,
) -> Result<Option<Instant>, Status> {
    let asked = match headers.get(&HEADER) {
        None => None,
        Some(value) => Some(parse(value).ok_or_else(|| invalid(value, domain))?),
    };
    let shorter = match (asked, limit) {
        (Some(asked), Some(limit)) => Some(asked.min(limit)),
        (asked, limit) => asked.or(limit),
    };
    // A deadline past the end of the clock is none.
    Ok(shorter.and_then(|timeout| now.checked_add(timeout)))
}

/// What a call gets that was not done in time.
pub(crate) fn exceeded(domain: &str) -> Status {
    status::with_error_info(
        domain,
        Code::DeadlineExceeded,
        "DEADLINE_EXCEEDED",
        "the call was not done in time; what it was to change may be changed or not",
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

/// `TimeoutValue TimeoutUnit` of the gRPC protocol over HTTP/2.
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
    fn every_unit_of_the_protocol_is_understood() {
        assert_eq!(parsed("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(parsed("3M"), Some(Duration::from_secs(180)));
        assert_eq!(parsed("4S"), Some(Duration::from_secs(4)));
        assert_eq!(parsed("5m"), Some(Duration::from_millis(5)));
        assert_eq!(parsed("6u"), Some(Duration::from_micros(6)));
        assert_eq!(parsed("99999999n"), Some(Duration::from_nanos(99_999_999)));
        assert_eq!(parsed("0S"), Some(Duration::ZERO));
    }

    #[test]
    fn anything_else_is_refused() {
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
    fn the_shorter_of_the_clients_and_the_servers_time_holds() {
        let mut headers = HeaderMap::new();
        headers.insert(&HEADER, HeaderValue::from_static("10S"));
        let now = Instant::now();
        let within = |limit| {
            let deadline = from_headers(&headers, limit, now, "test").unwrap();
            deadline.unwrap() - now
        };

        assert_eq!(within(Some(Duration::from_secs(5))), Duration::from_secs(5));
        let longer = Duration::from_secs(60);
        assert_eq!(within(Some(longer)), Duration::from_secs(10));
        assert_eq!(within(None), Duration::from_secs(10));
    }

    #[test]
    fn without_any_limit_there_is_no_deadline() {
        assert!(
            from_headers(&HeaderMap::new(), None, Instant::now(), "test")
                .unwrap()
                .is_none()
        );
    }
}
