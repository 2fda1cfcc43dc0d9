//! Detects the HTTP version of a connection, HTTP/2 or HTTP/1.1, from its first bytes.

/// The connection preface of HTTP/2 (RFC 9113, section 3.4). Until a client has sent all of it, hyper
/// neither sends PINGs nor closes the connection in a drain.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The HTTP version of a connection, as far as its first bytes tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HttpVersion {
    /// All bytes so far match the start of [`PREFACE`].
    Unknown {
        /// The number of bytes so far.
        matched: usize,
    },
    Http2,
    Http1,
}

impl HttpVersion {
    /// The state before the first byte.
    pub(crate) const UNKNOWN: Self = Self::Unknown { matched: 0 };

    /// Detects the version from the next `bytes`.
    pub(crate) fn detect(self, bytes: &[u8]) -> Self {
        let Self::Unknown { matched } = self else {
            return self;
        };
        let expected = &PREFACE[matched..];
        let length = bytes.len().min(expected.len());
        if bytes[..length] != expected[..length] {
            Self::Http1
        } else if length == expected.len() {
            Self::Http2
        } else {
            Self::Unknown {
                matched: matched + length,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_detected_however_the_first_bytes_are_split() {
        let start = HttpVersion::UNKNOWN;
        let piecemeal = PREFACE.iter().fold(start, |version, byte| {
            assert!(matches!(version, HttpVersion::Unknown { .. }));
            version.detect(&[*byte])
        });

        assert_eq!(piecemeal, HttpVersion::Http2);
        assert_eq!(
            start.detect(&[PREFACE, b"more"].concat()),
            HttpVersion::Http2
        );
        assert_eq!(start.detect(b""), start);
        assert_eq!(start.detect(b"PRI * HTTP/1"), HttpVersion::Http1);
        assert_eq!(
            start.detect(b"P").detect(b"OST / HTTP/1.1"),
            HttpVersion::Http1
        );
    }
}
