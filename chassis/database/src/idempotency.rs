//! Idempotent requests: the id that a client chose for a request, and a fingerprint of its
//! payload ([AIP-155](https://google.aip.dev/155)). Each engine has the table of their responses.

use std::{collections::HashSet, fmt::Write as _, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// How long the answer to a request is kept for its repeat.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// How many of the oldest requests one step of pruning looks at, but for those that are newer
/// than now. A step is one short
/// write among others.
pub const PRUNED_AT_ONCE: i64 = 500;

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
            Ok(uuid) if uuid.is_nil() => {
                Err("it is the nil UUID, which tells no request from another")
            }
            Ok(uuid) => Ok(Some(Self(uuid))),
            Err(_) => Err("it is no UUID; leave it out or write one such as \
                 3f1c9a52-7d0e-4c4b-9b1e-2f6a8d5c7e10"),
        }
    }
}

/// A request with an id, at the time at which it came.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    id: RequestId,
    fingerprint: [u8; 32],
    time: DateTime<Utc>,
}

/// Why a request is not answered with what was answered before.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// That was another request.
    #[error("the request id belongs to another request")]
    Reused,
    /// What was kept cannot be read.
    #[error("an answer that was kept cannot be read")]
    Unreadable(#[from] serde_json::Error),
}

impl Request {
    /// The request of `method` for `payload`, if the client gave it an id.
    ///
    /// # Errors
    ///
    /// [`NoAnswer::Unreadable`] if the payload has no form as JSON.
    pub fn of(
        id: Option<RequestId>,
        method: &str,
        payload: &impl Serialize,
        time: DateTime<Utc>,
    ) -> Result<Option<Self>, NoAnswer> {
        let Some(id) = id else {
            return Ok(None);
        };
        let mut hash = Sha256::new();
        hash.update(method);
        hash.update([0]);
        hash.update(serde_json::to_vec(payload)?);
        Ok(Some(Self {
            id,
            fingerprint: hash.finalize().into(),
            time,
        }))
    }

    /// The 16 bytes of its id.
    #[must_use]
    pub fn id(&self) -> &[u8] {
        self.id.0.as_bytes()
    }

    /// What tells its payload and method from others: a SHA-256.
    #[must_use]
    pub fn fingerprint(&self) -> &[u8] {
        &self.fingerprint
    }

    /// Its id in hexadecimal digits, since JSON has text and no bytes.
    #[must_use]
    pub fn id_as_hex(&self) -> String {
        hex(self.id())
    }

    /// Its fingerprint in hexadecimal digits.
    #[must_use]
    pub fn fingerprint_as_hex(&self) -> String {
        hex(&self.fingerprint)
    }

    /// When it came, in microseconds since the Unix epoch.
    #[must_use]
    pub fn time(&self) -> i64 {
        self.time.timestamp_micros()
    }

    /// The time since which answers are kept for it.
    #[must_use]
    pub fn kept_since(&self) -> i64 {
        forgotten_until(self.time)
    }

    /// The answer that was kept for a request with the same id, if it was the same request.
    ///
    /// # Errors
    ///
    /// [`NoAnswer::Reused`] if it was another one.
    pub fn answer<T: DeserializeOwned>(
        &self,
        fingerprint: &[u8],
        answer: &str,
    ) -> Result<T, NoAnswer> {
        if fingerprint != self.fingerprint {
            return Err(NoAnswer::Reused);
        }
        Ok(serde_json::from_str(answer)?)
    }
}

/// Returns which requests may be executed together: those without an id, and those whose id is
/// neither `recorded` nor that of an earlier request.
#[must_use]
pub fn first_seen(requests: &[Option<Request>], recorded: &[Vec<u8>]) -> Vec<bool> {
    let mut known: HashSet<&[u8]> = recorded.iter().map(Vec::as_slice).collect();
    let requests = requests.iter().map(Option::as_ref);
    requests
        .map(|request| request.is_none_or(|request| known.insert(request.id())))
        .collect()
}

/// Puts the results of the `first_seen` requests back into the order of all requests: `None` for
/// each of the others.
pub fn scatter<T>(first_seen: Vec<bool>, made: Vec<T>) -> impl Iterator<Item = Option<T>> {
    let mut made = made.into_iter();
    let one = move |first_seen| if first_seen { made.next() } else { None };
    first_seen.into_iter().map(one)
}

/// Answers to keep, as JSON has them: the id, the fingerprint, the answer and the time of each.
pub fn rows(
    answers: &[(Request, String)],
) -> impl Iterator<Item = (String, String, &str, i64)> + '_ {
    answers.iter().map(|(request, answer)| {
        let (id, fingerprint) = (request.id_as_hex(), request.fingerprint_as_hex());
        (id, fingerprint, answer.as_str(), request.time())
    })
}

/// About how many bytes these rows have: an answer is JSON by itself, of which the quotes are
/// escaped.
#[must_use]
pub fn size_of_rows(answers: &[(Request, String)]) -> usize {
    const REQUEST: usize = 128;
    let answers = answers.iter().map(|(_, answer)| answer.len());
    answers.map(|size| size + size / 8 + REQUEST).sum()
}

fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a text cannot fail.
        let _ = write!(digits, "{byte:02X}");
    }
    digits
}

/// The time up to which answers are forgotten, in microseconds since the Unix epoch.
#[must_use]
pub fn forgotten_until(now: DateTime<Utc>) -> i64 {
    let kept_for = i64::try_from(KEPT_FOR.as_micros()).unwrap_or(i64::MAX);
    now.timestamp_micros().saturating_sub(kept_for)
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

    fn request(method: &str, payload: &str) -> Request {
        let id = RequestId::parse("3f1c9a52-7d0e-4c4b-9b1e-2f6a8d5c7e10").unwrap();
        Request::of(id, method, &payload, DateTime::UNIX_EPOCH)
            .unwrap()
            .unwrap()
    }

    #[test]
    fn a_repeat_is_answered_as_the_first_time() {
        let first = request("Create", "x");

        let answer: Result<i64, _> = request("Create", "x").answer(first.fingerprint(), "7");

        assert_eq!(answer.unwrap(), 7);
    }

    #[test]
    fn another_payload_or_method_is_no_repeat() {
        let first = request("Create", "x");

        for other in [request("Create", "y"), request("Commit", "x")] {
            let answer: Result<i64, _> = other.answer(first.fingerprint(), "7");
            assert!(matches!(answer, Err(NoAnswer::Reused)));
        }
    }
}
