//! Etags: a caller guards a change by the state that it last saw
//! ([AIP-154](https://google.aip.dev/154)).

use serde::Serialize;

/// A state of a row. One that was never given out is no error; it matches nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Etag(String);

impl Etag {
    /// The state of a row that was changed so many times.
    #[must_use]
    pub fn of(revision: i64) -> Self {
        Self(revision.to_string())
    }

    /// The etag in a request: none if it is empty.
    #[must_use]
    pub fn parse(etag: String) -> Option<Self> {
        (!etag.is_empty()).then_some(Self(etag))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its text, to keep.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}
