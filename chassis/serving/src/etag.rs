//! Etags: a caller guards a change by the state that it last saw
//! ([AIP-154](https://google.aip.dev/154)).

use std::fmt;

use serde::Serialize;

/// A state of a row. One that was never given out is no error; it matches nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Etag(String);

impl Etag {
    /// The state of a row that was changed so many times.
    #[must_use]
    pub fn from_revision(revision: i64) -> Self {
        Self(revision.to_string())
    }

    /// The etag in a request: none if it is empty.
    #[must_use]
    pub fn parse(etag: String) -> Option<Self> {
        (!etag.is_empty()).then_some(Self(etag))
    }

    /// Its text.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A row is not in the state that the caller expects.
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
