//! What a connection speaks: it shows in its first bytes whether that is HTTP/2 or
//! HTTP/1.1, and what the latter lacks is made up for.

use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::TcpStream;

use crate::settings::ServerSettings;

/// The bytes with which every HTTP/2 connection begins, RFC 9113, section 3.4. Until it
/// has sent them all, hyper neither sends it PINGs nor ends it when it drains.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The longest time between two probes of a connection that TCP knows, nine hours.
const LONGEST_PROBE: Duration = Duration::from_secs(32_767);

/// What the first bytes of a connection tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speech {
    /// Not enough yet: so many bytes of [`PREFACE`] have come.
    Preface(usize),
    Http2,
    Http1,
}

impl Speech {
    /// What `bytes` tell, which come next.
    pub(super) fn heard(self, bytes: &[u8]) -> Self {
        let Self::Preface(come) = self else {
            return self;
        };
        let expected = &PREFACE[come..];
        let length = bytes.len().min(expected.len());
        if bytes[..length] != expected[..length] {
            Self::Http1
        } else if length == expected.len() {
            Self::Http2
        } else {
            Self::Preface(come + length)
        }
    }
}

/// How TCP finds out that a peer is gone who says nothing. HTTP/2 has PINGs for that,
/// HTTP/1.1 has nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probes {
    /// How long a connection is silent before it is probed.
    idle: Duration,
    /// How long the answer to the probe may take.
    answer: Duration,
}

impl Probes {
    /// As often as HTTP/2 has PINGs.
    pub(super) fn of(settings: &ServerSettings) -> Self {
        Self {
            idle: settings.keepalive_interval.min(LONGEST_PROBE),
            answer: settings.keepalive_timeout.min(LONGEST_PROBE),
        }
    }

    /// Has `stream` probed from now on.
    pub(super) fn begin(self, stream: &TcpStream) -> rustix::io::Result<()> {
        sockopt::set_tcp_keepidle(stream, self.idle)?;
        sockopt::set_tcp_keepintvl(stream, self.answer)?;
        sockopt::set_tcp_keepcnt(stream, 1)?;
        sockopt::set_socket_keepalive(stream, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_2_is_told_from_http_1_by_its_first_bytes_however_they_come() {
        let begun = Speech::Preface(0);
        let piecemeal = PREFACE.iter().fold(begun, |speech, byte| {
            assert!(matches!(speech, Speech::Preface(_)));
            speech.heard(&[*byte])
        });

        assert_eq!(piecemeal, Speech::Http2);
        assert_eq!(begun.heard(&[PREFACE, b"more"].concat()), Speech::Http2);
        assert_eq!(begun.heard(b""), begun);
        assert_eq!(begun.heard(b"PRI * HTTP/1"), Speech::Http1);
        assert_eq!(begun.heard(b"P").heard(b"OST / HTTP/1.1"), Speech::Http1);
    }
}
