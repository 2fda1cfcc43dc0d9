//! Requests that a client may repeat: a request id that it chose, and a fingerprint of
//! what it asked for ([AIP-155](https://google.aip.dev/155)).

use std::time::Duration;

use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// How long the answer to a request is kept for its repeat.
pub const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// How many of the oldest requests one step of pruning looks at. A step is one short
/// write among others.
pub const PRUNED_AT_ONCE: i64 = 500;

/// Between two steps of pruning.
pub const PRUNED_EVERY: Duration = Duration::from_secs(10);

/// The id that a client gave to a request, to be able to repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(Uuid);

impl RequestId {
    /// The id in a request's text: none if it is empty.
    ///
    /// # Errors
    ///
    /// What is wrong with it, if it is neither empty nor a UUID (RFC 9562).
    pub fn parse(text: &str) -> Result<Option<Self>, &'static str> {
        if text.is_empty() {
            return Ok(None);
        }
        match Uuid::try_parse(text) {
            Ok(uuid) if !uuid.is_nil() => Ok(Some(Self(uuid))),
            _ => Err("it is no UUID; leave it out or write one such as \
                 3f1c9a52-7d0e-4c4b-9b1e-2f6a8d5c7e10"),
        }
    }

    /// The 16 bytes of the UUID.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Tells two payloads apart: SHA-256 of the method and of what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of `payload`, asked of `method`.
    ///
    /// # Errors
    ///
    /// If the payload has no form as JSON.
    pub fn of(method: &str, payload: &impl Serialize) -> Result<Self, serde_json::Error> {
        let mut hash = Sha256::new();
        hash.update(method);
        hash.update([0]);
        hash.update(serde_json::to_vec(payload)?);
        Ok(Self(hash.finalize().into()))
    }

    /// Its 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// How a change is to be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Write {
    /// The id under which the result is kept for a repeat, if the client chose one.
    pub request_id: Option<RequestId>,
    /// Whether everything is done and then rolled back.
    pub validate_only: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_no_request_id() {
        assert_eq!(RequestId::parse(""), Ok(None));
    }

    #[test]
    fn letter_case_does_not_tell_request_ids_apart() {
        let lower = RequestId::parse("3f1c9a52-7d0e-4c4b-9b1e-2f6a8d5c7e10");
        let upper = RequestId::parse("3F1C9A52-7D0E-4C4B-9B1E-2F6A8D5C7E10");

        assert!(matches!(lower, Ok(Some(_))));
        assert_eq!(lower, upper);
    }

    #[test]
    fn what_is_no_uuid_is_refused() {
        for text in [
            "1",
            "x",
            "00000000-0000-0000-0000-000000000000",
            "3f1c9a52-7d0e",
        ] {
            assert!(RequestId::parse(text).is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn another_method_is_another_fingerprint() {
        let one = Fingerprint::of("Create", &"x").unwrap();
        let other = Fingerprint::of("Commit", &"x").unwrap();

        assert_ne!(one.as_bytes(), other.as_bytes());
    }
}
