//! The id of a call: what ties the caller's report to the lines of the log.

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// The header that carries the id, in requests and in responses.
pub const HEADER: &str = "x-request-id";

/// The same, parsed.
static NAME: HeaderName = HeaderName::from_static(HEADER);

/// The longest id that is taken from a caller, in characters.
const MAX_LEN: usize = 64;

/// An id: 1 to 64 visible ASCII characters.
#[derive(Clone, Debug)]
pub(super) struct RequestId(HeaderValue);

impl RequestId {
    /// The caller's own id, if it is a valid one, or else a new one.
    pub(super) fn from_headers(headers: &HeaderMap) -> Self {
        let given = headers.get(&NAME).filter(|id| {
            let id = id.as_bytes();
            (1..=MAX_LEN).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
        });
        let mut id = given.cloned().unwrap_or_else(new);
        // None comes twice: in the compression table of a connection it would only push out
        // what does (RFC 7541, section 7.1.3).
        id.set_sensitive(true);
        Self(id)
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// Puts the id into the headers of the answer.
    pub(super) fn insert_into(&self, headers: &mut HeaderMap) {
        headers.insert(&NAME, self.0.clone());
    }
}

/// An id that nobody has had.
fn new() -> HeaderValue {
    let mut text = Uuid::encode_buffer();
    let text = Uuid::new_v4().hyphenated().encode_lower(&mut text);
    // A UUID is visible ASCII.
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(given: &[u8]) -> RequestId {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_bytes(given).unwrap());
        RequestId::from_headers(&headers)
    }

    #[test]
    fn an_id_of_visible_ascii_characters_is_kept() {
        let longest = "x".repeat(MAX_LEN);

        assert_eq!(of(b"order-7/a").as_str(), "order-7/a");
        assert_eq!(of(longest.as_bytes()).as_str(), longest);
    }

    #[test]
    fn any_other_id_gives_way_to_a_new_one() {
        let too_long = "x".repeat(MAX_LEN + 1);

        for given in [
            b"".as_slice(),
            b"a b",
            "caf\u{e9}".as_bytes(),
            too_long.as_bytes(),
        ] {
            assert!(uuid::Uuid::parse_str(of(given).as_str()).is_ok());
        }
    }
}
