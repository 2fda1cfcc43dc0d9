//! The version of HTTP that a connection speaks, which its first bytes tell: HTTP/2 or
//! HTTP/1.1.

/// The bytes with which every HTTP/2 connection begins, RFC 9113, section 3.4. Until it
/// has sent them all, hyper neither sends it PINGs nor ends it when it drains.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The version of HTTP, as far as the first bytes of a connection tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HttpVersion {
    /// Too few bytes have come: they are the first `matched` ones of [`PREFACE`].
    Unknown {
        /// The number of bytes that have come.
        matched: usize,
    },
    Http2,
    Http1,
}

impl HttpVersion {
    /// The version before any byte has come.
    pub(crate) const UNKNOWN: Self = Self::Unknown { matched: 0 };

    /// Detects the version from `bytes`, which come next.
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
    fn http_2_is_told_from_http_1_by_its_first_bytes_however_they_come() {
        let begun = HttpVersion::UNKNOWN;
        let piecemeal = PREFACE.iter().fold(begun, |version, byte| {
            assert!(matches!(version, HttpVersion::Unknown { .. }));
            version.detect(&[*byte])
        });

        assert_eq!(piecemeal, HttpVersion::Http2);
        assert_eq!(
            begun.detect(&[PREFACE, b"more"].concat()),
            HttpVersion::Http2
        );
        assert_eq!(begun.detect(b""), begun);
        assert_eq!(begun.detect(b"PRI * HTTP/1"), HttpVersion::Http1);
        assert_eq!(
            begun.detect(b"P").detect(b"OST / HTTP/1.1"),
            HttpVersion::Http1
        );
    }
}
