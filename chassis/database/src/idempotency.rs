//! Idempotency of writes ([AIP-155](https://google.aip.dev/155)): the key that a client chose for
//! a request, and a fingerprint of its payload. Each engine stores the responses in a table.

use std::{collections::HashSet, fmt::Write as _, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The time for which the response to a request is stored for replays.
const RETENTION: Duration = Duration::from_hours(24);

/// The maximum number of records that one step of pruning examines. It keeps the transaction of
/// the step short, so that no other write waits long for it.
pub const PRUNE_BATCH: i64 = 500;

/// The idempotency key of a request: the field `request_id`, a UUID that the client chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(Uuid);

impl IdempotencyKey {
    /// Parses the field `request_id`. Returns `None` if it is empty.
    ///
    /// # Errors
    ///
    /// The reason that it is invalid, if it is neither empty nor a UUID (RFC 9562).
    pub fn parse(text: &str) -> Result<Option<Self>, &'static str> {
        if text.is_empty() {
            return Ok(None);
        }
        match Uuid::try_parse(text) {
            Ok(uuid) if uuid.is_nil() => {
                Err("it is the nil UUID, which cannot tell requests apart")
            }
            Ok(uuid) => Ok(Some(Self(uuid))),
            Err(_) => Err("it is not a UUID; leave it out or write one such as \
                 3f1c9a52-7d0e-4c4b-9b1e-2f6a8d5c7e10"),
        }
    }
}

/// A request with an idempotency key, a fingerprint of its payload and the time of its arrival.
#[derive(Clone, Copy, Debug)]
pub struct KeyedRequest {
    key: IdempotencyKey,
    fingerprint: [u8; 32],
    time: DateTime<Utc>,
}

/// The reason that a request is not answered with the stored response.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The key was used for a request with another method or payload.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The stored response cannot be decoded.
    #[error("a stored response cannot be decoded")]
    Corrupt(#[from] serde_json::Error),
}

impl KeyedRequest {
    /// Returns the request of `method` with `payload`, or `None` if it has no key.
    ///
    /// # Errors
    ///
    /// [`ReplayError::Corrupt`] if the payload cannot be encoded as JSON.
    pub fn from_payload(
        key: Option<IdempotencyKey>,
        method: &str,
        payload: &impl Serialize,
        time: DateTime<Utc>,
    ) -> Result<Option<Self>, ReplayError> {
        let Some(key) = key else {
            return Ok(None);
        };
        let mut hash = Sha256::new();
        hash.update(method);
        hash.update([0]);
        hash.update(serde_json::to_vec(payload)?);
        Ok(Some(Self {
            key,
            fingerprint: hash.finalize().into(),
            time,
        }))
    }

    /// Returns the 16 bytes of the key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.key.0.as_bytes()
    }

    /// Returns the SHA-256 of the method and the payload.
    #[must_use]
    pub fn fingerprint(&self) -> &[u8] {
        &self.fingerprint
    }

    /// Returns the key in hexadecimal digits, since JSON has no type for bytes.
    #[must_use]
    pub fn key_as_hex(&self) -> String {
        hex(self.key())
    }

    /// Returns the fingerprint in hexadecimal digits.
    #[must_use]
    pub fn fingerprint_as_hex(&self) -> String {
        hex(&self.fingerprint)
    }

    /// Returns the time of arrival, in microseconds since the Unix epoch.
    #[must_use]
    pub fn time(&self) -> i64 {
        self.time.timestamp_micros()
    }

    /// Returns the time after which a response must have been stored to be replayed for this
    /// request, in microseconds since the Unix epoch.
    #[must_use]
    pub fn retained_since(&self) -> i64 {
        expired_before(self.time)
    }

    /// Returns the time until a record of `create_time` expires, which is at least a second. That of
    /// a new record without one.
    #[must_use]
    pub fn time_until_expiry(&self, create_time: Option<i64>) -> Duration {
        let age = create_time.map_or(0, |time| self.time().saturating_sub(time));
        let age = Duration::from_micros(u64::try_from(age).unwrap_or(0));
        RETENTION.saturating_sub(age).max(Duration::from_secs(1))
    }

    /// Returns the stored response, if it was stored for the same method and payload.
    ///
    /// # Errors
    ///
    /// [`ReplayError::KeyReused`] if it was stored for another request.
    pub fn replay<T: DeserializeOwned>(
        &self,
        fingerprint: &[u8],
        response: &str,
    ) -> Result<T, ReplayError> {
        if fingerprint != self.fingerprint {
            return Err(ReplayError::KeyReused);
        }
        Ok(serde_json::from_str(response)?)
    }
}

/// Returns which requests may be executed together: those without a key, and those whose key is
/// neither `recorded` nor that of an earlier request.
#[must_use]
pub fn first_seen(requests: &[Option<KeyedRequest>], recorded: &[Vec<u8>]) -> Vec<bool> {
    let mut known: HashSet<&[u8]> = recorded.iter().map(Vec::as_slice).collect();
    let requests = requests.iter().map(Option::as_ref);
    requests
        .map(|request| request.is_none_or(|request| known.insert(request.key())))
        .collect()
}

/// Puts the results of the `first_seen` requests back into the order of all requests: `None` for
/// each of the others.
pub fn scatter<T>(first_seen: Vec<bool>, results: Vec<T>) -> impl Iterator<Item = Option<T>> {
    let mut results = results.into_iter();
    let result = move |first_seen| if first_seen { results.next() } else { None };
    first_seen.into_iter().map(result)
}

/// Returns the records of responses, for JSON: the key, the fingerprint, the response and the time
/// of each.
pub fn to_rows(
    responses: &[(KeyedRequest, String)],
) -> impl Iterator<Item = (String, String, &str, i64)> + '_ {
    responses.iter().map(|(request, response)| {
        let (key, fingerprint) = (request.key_as_hex(), request.fingerprint_as_hex());
        (key, fingerprint, response.as_str(), request.time())
    })
}

/// Returns the approximate size of these records in JSON, in bytes. A response is JSON already,
/// and its quotes are escaped.
#[must_use]
pub fn estimated_size(responses: &[(KeyedRequest, String)]) -> usize {
    const REQUEST: usize = 128;
    let responses = responses.iter().map(|(_, response)| response.len());
    responses.map(|size| size + size / 8 + REQUEST).sum()
}

fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a `String` cannot fail.
        let _ = write!(digits, "{byte:02X}");
    }
    digits
}

/// Returns the time up to which records are expired, in microseconds since the Unix epoch.
#[must_use]
pub fn expired_before(now: DateTime<Utc>) -> i64 {
    let retention = i64::try_from(RETENTION.as_micros()).unwrap_or(i64::MAX);
    now.timestamp_micros().saturating_sub(retention)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_request_id_parses_as_none() {
        assert_eq!(IdempotencyKey::parse(""), Ok(None));
    }

    #[test]
    fn keys_are_compared_without_letter_case() {
        let lower = IdempotencyKey::parse("3f1c9a52-7d0e-4c4b-9b1e-2f6a8d5c7e10");
        let upper = IdempotencyKey::parse("3F1C9A52-7D0E-4C4B-9B1E-2F6A8D5C7E10");

        assert!(matches!(lower, Ok(Some(_))));
        assert_eq!(lower, upper);
    }

    #[test]
    fn an_invalid_key_is_rejected() {
        for text in [
            "1",
            "x",
            "00000000-0000-0000-0000-000000000000",
            "3f1c9a52-7d0e",
        ] {
            assert!(IdempotencyKey::parse(text).is_err(), "{text} was accepted");
        }
    }

    fn request(method: &str, payload: &str) -> KeyedRequest {
        let key = IdempotencyKey::parse("3f1c9a52-7d0e-4c4b-9b1e-2f6a8d5c7e10").unwrap();
        KeyedRequest::from_payload(key, method, &payload, DateTime::UNIX_EPOCH)
            .unwrap()
            .unwrap()
    }

    #[test]
    fn a_replay_returns_the_stored_response() {
        let first = request("Create", "x");

        let response: Result<i64, _> = request("Create", "x").replay(first.fingerprint(), "7");

        assert_eq!(response.unwrap(), 7);
    }

    #[test]
    fn another_method_or_payload_is_not_a_replay() {
        let first = request("Create", "x");

        for other in [request("Create", "y"), request("Commit", "x")] {
            let response: Result<i64, _> = other.replay(first.fingerprint(), "7");
            assert!(matches!(response, Err(ReplayError::KeyReused)));
        }
    }
}
