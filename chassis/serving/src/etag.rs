//! Etags: a caller makes a change conditional on the revision that it has read
//! ([AIP-154](https://google.aip.dev/154)).

use std::fmt;

use serde::Serialize;

/// The etag of a row's revision. An etag that no row ever had is not an error; it matches nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Etag(String);

impl Etag {
    /// Returns the etag of a row after `revision` changes.
    #[must_use]
    pub fn from_revision(revision: i64) -> Self {
        Self(revision.to_string())
    }

    /// Returns the etag in a request, or `None` if it is empty.
    #[must_use]
    pub fn parse(etag: String) -> Option<Self> {
        (!etag.is_empty()).then_some(Self(etag))
    }

    /// Returns the text for a response.
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

/// The error of a change whose etag is not the current one.
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
