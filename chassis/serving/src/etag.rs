//! Etags: a caller makes a change conditional on the state that it has read
//! ([AIP-154](https://google.aip.dev/154)).

use std::{fmt, hash::Hasher};

use serde::Serialize;
use siphasher::sip::SipHasher13;

/// The etag of a row: its revision, and a hash of its content. After a restore, a revision is
/// assigned again, possibly for other content. An etag that no row ever had is not an error; it matches nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Etag(String);

impl Etag {
    /// Returns the etag of a row with this revision and content.
    #[must_use]
    pub fn new(revision: i64, content: &[&[u8]]) -> Self {
        let mut hasher = SipHasher13::new();
        for part in content {
            // Its length keeps the parts apart: "ab", "c" is not "a", "bc".
            hasher.write(&part.len().to_le_bytes());
            hasher.write(part);
        }
        Self(text(revision, hasher.finish()))
    }

    /// Returns the etag in a request, or `None` if it is empty.
    #[must_use]
    pub fn parse(etag: String) -> Option<Self> {
        (!etag.is_empty()).then_some(Self(etag))
    }

    /// Returns the text for a response.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

/// Returns `{revision}-{hash:016x}`. Each row of a response has an etag, and `format!` takes twice as
/// long.
fn text(revision: i64, hash: u64) -> String {
    const LONGEST: usize = "-9223372036854775808-0123456789abcdef".len();
    /// Writes the digits of `value` in `base`, at least `width`, before `start`.
    fn digits(text: &mut [u8], mut start: usize, mut value: u64, base: u64, width: usize) -> usize {
        let end = start;
        while value > 0 || end - start < width {
            start -= 1;
            let digit = usize::try_from(value % base).unwrap_or_default();
            text[start] = b"0123456789abcdef"[digit];
            value /= base;
        }
        start
    }

    let mut text = [b'-'; LONGEST];
    let hash_start = digits(&mut text, LONGEST, hash, 16, 16);
    let start = digits(&mut text, hash_start - 1, revision.unsigned_abs(), 10, 1);
    let start = start - usize::from(revision < 0);
    String::from_utf8_lossy(&text[start..]).into_owned()
}

impl fmt::Display for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The error of a change whose etag is not the current one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtagMismatch {
    /// The id of the row.
    pub id: i64,
    /// The current etag of the row.
    pub etag: Etag,
}

/// Compares the current etag of the row `id` with the one that the caller gave, if any.
///
/// # Errors
///
/// [`EtagMismatch`] if they differ.
pub fn match_etag(id: i64, current: Etag, given: Option<&Etag>) -> Result<(), EtagMismatch> {
    match given {
        Some(given) if *given != current => Err(EtagMismatch { id, etag: current }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_has_the_same_text_in_every_process() {
        assert_eq!(
            Etag::new(3, &[b"susan"]).into_string(),
            "3-1e9bf237d82c34e1"
        );
    }

    #[test]
    fn an_etag_is_the_revision_and_16_hexadecimal_digits() {
        for revision in [0, 1, 10, 987_654_321, i64::MAX, -1, i64::MIN] {
            for hash in [0, 0xf, 0x0123_4567_89ab_cdef, u64::MAX] {
                assert_eq!(text(revision, hash), format!("{revision}-{hash:016x}"));
            }
        }
    }

    #[test]
    fn etags_differ_if_the_revision_or_the_content_differs() {
        let etag = Etag::new(1, &[b"ab", b"c"]);

        assert_ne!(etag, Etag::new(2, &[b"ab", b"c"]));
        assert_ne!(etag, Etag::new(1, &[b"a", b"bc"]));
        assert_ne!(etag, Etag::new(1, &[b"ab"]));
    }
}
