//! Pages: how large they are, and the tokens that lead from one to the next
//! ([AIP-158](https://google.aip.dev/158)).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

/// The size of a page if the caller names none.
const DEFAULT_PAGE_SIZE: i64 = 50;

/// The largest page.
const MAX_PAGE_SIZE: i64 = 1000;

/// The form of the tokens. One of another form is refused rather than misread.
const VERSION: u8 = 1;

/// Bytes of the checksum in a token. It guards against mistakes; a forged token shows
/// its forger nothing that another request would not.
const CHECKSUM: usize = 8;

/// No token of ours is longer, in characters: the longest key of a page is far shorter.
const MAX_TOKEN_LEN: usize = 4096;

/// What is wrong with a token that [`decode`] finds no cursor in.
pub const INVALID_TOKEN: &str = "it was not given out for this list; repeat the request of the page \
                           before with its next_page_token, or begin again without one";

/// How many items a page has at most: 1 to 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize(i64);

impl PageSize {
    /// The size that a caller asked for: 0 means 50, and more than 1000 means 1000.
    ///
    /// # Errors
    ///
    /// What is wrong with it, if it is negative.
    pub fn parse(size: i32) -> Result<Self, String> {
        match i64::from(size) {
            0 => Ok(Self(DEFAULT_PAGE_SIZE)),
            1.. => Ok(Self(i64::from(size).min(MAX_PAGE_SIZE))),
            _ => Err(format!(
                "{size} is negative; leave it out for {DEFAULT_PAGE_SIZE}"
            )),
        }
    }

    /// A size that no caller asked for, cut down to what a page may have.
    #[must_use]
    pub fn clamped(size: usize) -> Self {
        Self(
            i64::try_from(size)
                .unwrap_or(MAX_PAGE_SIZE)
                .clamp(1, MAX_PAGE_SIZE),
        )
    }

    /// How many rows to read: one more than the page has, which tells whether there is
    /// another page.
    #[must_use]
    pub fn limit(self) -> i64 {
        self.0 + 1
    }

    /// The same, as a number of things.
    #[must_use]
    pub fn rows(self) -> usize {
        usize::try_from(self.limit()).unwrap_or(usize::MAX)
    }

    /// Cuts what was read down to the page, and says whether there is more.
    pub fn truncate<T>(self, rows: &mut Vec<T>) -> bool {
        let size = usize::try_from(self.0).unwrap_or(usize::MAX);
        let more = rows.len() > size;
        rows.truncate(size);
        more
    }
}

/// The token of the page that begins after `cursor`. It is opaque to callers, and works
/// only with a `context` equal to this one: the method and the fields that choose and
/// order what is listed.
///
/// # Errors
///
/// If the context or the cursor has no form as JSON.
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

/// The cursor in a token, or `None` if the token was not made by [`encode`] for an equal
/// `context`.
#[must_use]
pub fn decode<C: DeserializeOwned>(context: &impl Serialize, token: &str) -> Option<C> {
    if token.len() > MAX_TOKEN_LEN {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (&version, rest) = bytes.split_first()?;
    let (sum, payload) = rest.split_at_checked(CHECKSUM)?;
    if version != VERSION || sum != checksum(context, payload).ok()? {
        return None;
    }
    serde_json::from_slice(payload).ok()
}

fn checksum(context: &impl Serialize, payload: &[u8]) -> Result<[u8; CHECKSUM], serde_json::Error> {
    let mut hash = Sha256::new();
    hash.update(serde_json::to_vec(context)?);
    hash.update([0]);
    hash.update(payload);
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&hash.finalize()[..CHECKSUM]);
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_to_its_cursor() {
        let token = encode(&("List", "id"), &("susan", 7)).unwrap();

        let cursor: Option<(String, i64)> = decode(&("List", "id"), &token);

        assert_eq!(cursor, Some(("susan".into(), 7)));
    }

    #[test]
    fn a_token_works_only_where_it_was_given() {
        let token = encode(&("List", "id"), &7).unwrap();

        assert_eq!(decode::<i64>(&("List", "id desc"), &token), None);
    }

    #[test]
    fn a_token_that_was_cut_or_changed_anywhere_is_none() {
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
    fn a_page_has_50_items_unless_asked_otherwise_and_1000_at_the_most() {
        assert_eq!(PageSize::parse(0).unwrap().limit(), 51);
        assert_eq!(PageSize::parse(i32::MAX).unwrap().limit(), 1001);
        assert!(PageSize::parse(-1).is_err());
    }

    #[test]
    fn one_more_row_than_the_page_has_tells_that_there_is_another() {
        let two = PageSize::parse(2).unwrap();
        let mut rows = vec![1, 2, 3];

        assert!(two.truncate(&mut rows));
        assert_eq!(rows, [1, 2]);
        assert!(!two.truncate(&mut rows));
    }
}
