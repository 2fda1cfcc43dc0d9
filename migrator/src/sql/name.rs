//! Names, compared as SQLite does.

use std::{cmp::Ordering, fmt};

use super::token::{quoted, tokens};

/// The name of a table, a column or another object. Ignores ASCII letter case.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    spelled: String,
    folded: String,
}

impl Name {
    /// Creates a name from its unquoted spelling.
    pub(crate) fn new(spelled: &str) -> Self {
        Self {
            spelled: spelled.to_owned(),
            folded: spelled.to_ascii_lowercase(),
        }
    }

    /// Returns the original spelling without quotes, as SQLite's own tables store it.
    pub(crate) fn spelled(&self) -> &str {
        &self.spelled
    }

    /// Returns the original spelling, quoted if necessary.
    pub(crate) fn quoted(&self) -> String {
        quoted(&self.spelled)
    }

    /// Returns the name in lower case, without quotes.
    pub(crate) fn folded(&self) -> &str {
        &self.folded
    }

    /// Reports whether normalised SQL contains the name, for whatever kind of object.
    pub(crate) fn is_in(&self, normalised: &str) -> bool {
        tokens(normalised)
            .iter()
            .any(|token| token.is_name() && token.unquoted().eq_ignore_ascii_case(&self.folded))
    }
}

/// Prints the name in lower case, quoted if necessary.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quoted(&self.folded))
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.folded == other.folded
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        self.folded.cmp(&other.folded)
    }
}

/// The kinds of objects in a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ObjectKind {
    Table,
    Index,
    View,
    Trigger,
}

impl ObjectKind {
    /// Returns the keyword of the kind.
    pub(crate) fn keyword(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Index => "index",
            Self::View => "view",
            Self::Trigger => "trigger",
        }
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.keyword())
    }
}
