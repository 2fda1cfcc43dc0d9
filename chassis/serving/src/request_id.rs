//! The id of a call, from `x-request-id`. It links the report of a caller to the log lines of its
//! call.

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// The header with the id, in requests and in responses.
pub const HEADER: &str = "x-request-id";

/// [`HEADER`], parsed at compile time.
static NAME: HeaderName = HeaderName::from_static(HEADER);

/// The longest id that is accepted from a caller, in characters.
const MAX_LEN: usize = 64;

/// The id of a call: 1 to 64 visible ASCII characters.
#[derive(Clone, Debug)]
pub(super) struct RequestId(HeaderValue);

impl RequestId {
    /// Returns the id in the headers of a request, or a new one if it is missing or invalid.
    pub(super) fn from_headers(headers: &HeaderMap) -> Self {
        let given = headers.get(&NAME).filter(|id| {
            let id = id.as_bytes();
            (1..=MAX_LEN).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
        });
        let mut id = given.cloned().unwrap_or_else(new);
        // An id does not recur. In the dynamic table of HPACK it would evict headers that do
        // (RFC 7541, section 7.1.3).
        id.set_sensitive(true);
        Self(id)
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// Inserts the id into the headers of a response.
    pub(super) fn insert_into(&self, headers: &mut HeaderMap) {
        headers.insert(&NAME, self.0.clone());
    }
}

/// Generates a random id.
fn new() -> HeaderValue {
    let mut text = Uuid::encode_buffer();
    let text = Uuid::new_v4().hyphenated().encode_lower(&mut text);
    // A UUID is visible ASCII.
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_for(given: &[u8]) -> RequestId {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_bytes(given).unwrap());
        RequestId::from_headers(&headers)
    }

    #[test]
    fn a_valid_id_is_kept() {
        let longest = "x".repeat(MAX_LEN);

        assert_eq!(id_for(b"order-7/a").as_str(), "order-7/a");
        assert_eq!(id_for(longest.as_bytes()).as_str(), longest);
    }

    #[test]
    fn an_invalid_id_is_replaced() {
        let too_long = "x".repeat(MAX_LEN + 1);

        for given in [
            b"".as_slice(),
            b"a b",
            "caf\u{e9}".as_bytes(),
            too_long.as_bytes(),
        ] {
            assert!(uuid::Uuid::parse_str(id_for(given).as_str()).is_ok());
        }
    }
}
