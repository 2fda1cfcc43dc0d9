//! What only the person who changed a schema can say.

use std::fmt;

use crate::sql::name::Name;

/// Whether something is new, or something that went under another name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub(crate) kind: QuestionKind,
    /// The table as it is called now.
    pub(crate) table: Name,
    /// The table, or the column in it.
    pub(crate) new: Name,
    /// What it may have been called: one at least.
    pub(crate) candidates: Vec<Name>,
}

/// What is asked about.
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

    /// What it may have been called, with "or" between.
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
