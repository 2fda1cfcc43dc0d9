//! A question that only the author of a schema change can answer.

use std::fmt;

use crate::sql::name::Name;

/// The question whether an object is new or renamed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub(crate) kind: QuestionKind,
    /// The current name of the table.
    pub(crate) table: Name,
    /// The new table, or the new column of it.
    pub(crate) new: Name,
    /// The possible old names, at least one.
    pub(crate) candidates: Vec<Name>,
}

/// The kind of the new object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QuestionKind {
    Table,
    Column,
}

impl Question {
    /// Returns the new object, as `table accounts` or `column users.bio`.
    #[must_use]
    pub fn subject(&self) -> String {
        let new = self.new.quoted();
        match self.kind {
            QuestionKind::Table => format!("table {new}"),
            QuestionKind::Column => format!("column {}.{new}", self.table.quoted()),
        }
    }

    /// Returns the old names that the new object may have had, at least one.
    pub fn candidates(&self) -> impl Iterator<Item = &str> {
        self.candidates.iter().map(Name::spelled)
    }

    /// Returns the possible old names, joined with "or".
    pub(crate) fn old(&self) -> String {
        let old: Vec<_> = self.candidates.iter().map(Name::quoted).collect();
        old.join(" or ")
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} may be new, or {} renamed",
            self.subject(),
            self.old()
        )
    }
}
