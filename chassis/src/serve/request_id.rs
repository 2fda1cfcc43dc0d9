//! The id of a call: what ties the caller's report to the lines of the log.

use std::{future::Future, sync::Arc};

use http::{HeaderMap, HeaderValue};
use tonic::metadata::MetadataValue;
use uuid::Uuid;

/// The header that carries the id, in requests and in responses.
pub const HEADER: &str = "x-request-id";

/// The longest id that is taken from a caller, in characters.
const MAX_LEN: usize = 64;

tokio::task_local! {
    static CURRENT: RequestId;
}

/// The id of the call that is being handled, or `None` outside of one: it holds in the
/// handler and in the stream that it answers with, but not in a task that it spawned.
#[must_use]
pub fn current() -> Option<String> {
    CURRENT.try_with(|id| id.0.to_string()).ok()
}

/// Gives a call to another service the id of the call that is being handled, so that
/// both leave the same one in their logs.
pub fn forward<T>(request: &mut tonic::Request<T>) {
    let value = current().and_then(|id| MetadataValue::try_from(id).ok());
    if let Some(value) = value {
        request.metadata_mut().insert(HEADER, value);
    }
}

/// An id: 1 to 64 visible ASCII characters.
#[derive(Clone, Debug)]
pub(super) struct RequestId(Arc<str>);

impl RequestId {
    /// The caller's own id, if it is a valid one, or else a new one.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let given = headers
            .get(HEADER)
            .and_then(|value| value.to_str().ok())
            .filter(|id| (1..=MAX_LEN).contains(&id.len()))
            .filter(|id| id.bytes().all(|byte| byte.is_ascii_graphic()));
        if let Some(id) = given {
            return Self(id.into());
        }
        let mut text = Uuid::encode_buffer();
        Self((*Uuid::new_v4().hyphenated().encode_lower(&mut text)).into())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Puts the id into the headers of the answer.
    pub(super) fn mark(&self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_str(&self.0) {
            headers.insert(HEADER, value);
        }
    }

    /// Runs `call` with this as the current id.
    pub(super) fn scope<F: Future>(self, call: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, call)
    }

    /// Runs one step of a stream with this as the current id.
    pub(super) fn scope_step<R>(self, step: impl FnOnce() -> R) -> R {
        CURRENT.sync_scope(self, step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(given: &[u8]) -> RequestId {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_bytes(given).unwrap());
        RequestId::of(&headers)
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

    #[test]
    fn outside_of_a_call_there_is_none() {
        assert_eq!(current(), None);
    }
}
