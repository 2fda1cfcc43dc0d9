//! Pagination of lists: page sizes and opaque page tokens ([AIP-158](https://google.aip.dev/158)).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

/// The page size of a request that sets none.
const DEFAULT_PAGE_SIZE: i64 = 50;

/// The largest page size.
const MAX_PAGE_SIZE: i64 = 1000;

/// The version of the token format. Tokens of another version are rejected.
const VERSION: u8 = 1;

/// The length of the checksum in a token, in bytes. It detects mistakes only: a forged token reveals
/// nothing that another request would not.
const CHECKSUM_LEN: usize = 8;

/// The longest token that is decoded, in characters. Cursors are far shorter.
const MAX_TOKEN_LEN: usize = 4096;

/// The description of a token that [`decode`] rejects.
pub const INVALID_TOKEN: &str = "not a page token of this list; repeat the request of the previous \
                                 page with its next_page_token, or start again without a token";

/// The maximum number of items on a page: 1 to 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize(i64);

impl PageSize {
    /// Parses the page size of a request: 0 means 50, and more than 1000 means 1000.
    ///
    /// # Errors
    ///
    /// The description of the violation, if the size is negative.
    pub fn parse(size: i32) -> Result<Self, String> {
        match i64::from(size) {
            0 => Ok(Self(DEFAULT_PAGE_SIZE)),
            1.. => Ok(Self(i64::from(size).min(MAX_PAGE_SIZE))),
            _ => Err(format!(
                "{size} is negative; leave it unset for {DEFAULT_PAGE_SIZE}"
            )),
        }
    }

    /// Returns `size`, clamped to the allowed range.
    #[must_use]
    pub fn clamped(size: usize) -> Self {
        Self(
            i64::try_from(size)
                .unwrap_or(MAX_PAGE_SIZE)
                .clamp(1, MAX_PAGE_SIZE),
        )
    }

    /// Returns the number of rows to read: one more than the page size, which tells whether another
    /// page follows.
    #[must_use]
    pub fn limit(self) -> i64 {
        self.0 + 1
    }

    /// Returns [`limit`](Self::limit) as a `usize`.
    #[must_use]
    pub fn rows(self) -> usize {
        usize::try_from(self.limit()).unwrap_or(usize::MAX)
    }

    /// Truncates the rows that were read to the page, and returns whether another page follows.
    pub fn truncate<T>(self, rows: &mut Vec<T>) -> bool {
        let size = usize::try_from(self.0).unwrap_or(usize::MAX);
        let more = rows.len() > size;
        rows.truncate(size);
        more
    }
}

/// Encodes the token of the page after `cursor`.
///
/// The token is opaque to callers. It is valid only for an equal `context`: the method and the
/// fields that filter and order the list.
///
/// # Errors
///
/// If the context or the cursor cannot be encoded as JSON.
pub fn encode(
    context: &impl Serialize,
    cursor: &impl Serialize,
) -> Result<String, serde_json::Error> {
    let payload = serde_json::to_vec(cursor)?;
    let mut token = vec![VERSION];
    token.extend(checksum(context, &payload)?);
    token.extend(payload);
    Ok(URL_SAFE_NO_PAD.encode(token))
}

/// Decodes the cursor of a token, or returns `None` if [`encode`] did not return the token for an
/// equal `context`.
#[must_use]
pub fn decode<C: DeserializeOwned>(context: &impl Serialize, token: &str) -> Option<C> {
    if token.len() > MAX_TOKEN_LEN {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (&version, rest) = bytes.split_first()?;
    let (sum, payload) = rest.split_at_checked(CHECKSUM_LEN)?;
    if version != VERSION || sum != checksum(context, payload).ok()? {
        return None;
    }
    serde_json::from_slice(payload).ok()
}

fn checksum(
    context: &impl Serialize,
    payload: &[u8],
) -> Result<[u8; CHECKSUM_LEN], serde_json::Error> {
    let mut hash = Sha256::new();
    hash.update(serde_json::to_vec(context)?);
    hash.update([0]);
    hash.update(payload);
    let mut sum = [0; CHECKSUM_LEN];
    sum.copy_from_slice(&hash.finalize()[..CHECKSUM_LEN]);
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_decodes_to_its_cursor() {
        let token = encode(&("List", "id"), &("susan", 7)).unwrap();

        let cursor: Option<(String, i64)> = decode(&("List", "id"), &token);

        assert_eq!(cursor, Some(("susan".into(), 7)));
    }

    #[test]
    fn a_token_of_another_list_is_rejected() {
        let token = encode(&("List", "id"), &7).unwrap();

        assert_eq!(decode::<i64>(&("List", "id desc"), &token), None);
    }

    #[test]
    fn a_truncated_or_changed_token_is_rejected() {
        let token = encode(&"List", &123_456).unwrap();

        for end in 0..token.len() {
            assert_eq!(decode::<i64>(&"List", &token[..end]), None);
        }
        for index in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(decode::<i64>(&"List", &changed), None, "at {index}");
        }
    }

    #[test]
    fn the_page_size_defaults_to_50_and_is_capped_at_1000() {
        assert_eq!(PageSize::parse(0).unwrap().limit(), 51);
        assert_eq!(PageSize::parse(i32::MAX).unwrap().limit(), 1001);
        assert!(PageSize::parse(-1).is_err());
    }

    #[test]
    fn an_extra_row_tells_that_another_page_follows() {
        let two = PageSize::parse(2).unwrap();
        let mut rows = vec![1, 2, 3];

        assert!(two.truncate(&mut rows));
        assert_eq!(rows, [1, 2]);
        assert!(!two.truncate(&mut rows));
    }
}
