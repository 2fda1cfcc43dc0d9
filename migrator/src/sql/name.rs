//! Names as SQLite compares them.

use std::{cmp::Ordering, fmt};

use super::token::{quoted, tokens};

/// A name of a table, a column and so on. ASCII letter case does not count.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    spelled: String,
    folded: String,
}

impl Name {
    /// The name that is written so, without quotes around it.
    pub(crate) fn new(spelled: &str) -> Self {
        Self {
            spelled: spelled.to_owned(),
            folded: spelled.to_ascii_lowercase(),
        }
    }

    /// As it was written, without quotes: what SQLite's own tables hold.
    pub(crate) fn spelled(&self) -> &str {
        &self.spelled
    }

    /// As it was written, and in quotes where it has to be.
    pub(crate) fn quoted(&self) -> String {
        quoted(&self.spelled)
    }

    /// In lower case, without quotes.
    pub(crate) fn folded(&self) -> &str {
        &self.folded
    }

    /// Whether a normalised text names it anywhere: a table, a column, or whatever else is
    /// called so.
    pub(crate) fn is_in(&self, normalised: &str) -> bool {
        tokens(normalised)
            .iter()
            .any(|token| token.is_name() && token.unquoted().eq_ignore_ascii_case(&self.folded))
    }
}

/// In lower case, and in quotes where it has to be.
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

/// What kind of object a statement creates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ObjectKind {
    Table,
    Index,
    View,
    Trigger,
}

impl ObjectKind {
    /// The keyword that stands for it in a statement.
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
