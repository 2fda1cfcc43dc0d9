//! The reasons why no plan can be made.

use super::question::Question;
use crate::sql::name::Name;

/// The reason why no plan can be made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// Give the column a default, or allow NULL.
    #[error(
        "column {table}.{column} is NOT NULL and has no default, so rows that have no value \
         for it cannot be kept: give it a constant default, or leave NOT NULL out"
    )]
    NotNullWithoutDefault {
        /// The table.
        table: Name,
        /// The column.
        column: Name,
    },
    /// Fill the column before it becomes unique.
    #[error(
        "column {table}.{column} is unique, and the existing rows would share its default: add \
         it without a unique key, fill it in an own migration, and declare the key then"
    )]
    SharedDefault {
        /// The table.
        table: Name,
        /// The column.
        column: Name,
    },
    /// Name the old object, or remove the directive.
    #[error(
        "{new} is `@renamed from={old}`, and {why}: name its old name, or remove \
         the directive away"
    )]
    UnresolvedDirective {
        /// The object with the directive, such as `users` or `users.bio`.
        new: String,
        /// The name in the directive.
        old: Name,
        /// The reason why the name cannot be right.
        why: &'static str,
    },
    /// Split the change into steps that SQLite supports.
    #[error("table {table} cannot be changed this way: {why}")]
    Unsupported {
        /// The table.
        table: Name,
        /// The obstacle, and the remedy.
        why: &'static str,
    },
    /// Say whether the object is new.
    #[error("{0}: write `-- @renamed from=…` beside it, or `-- @added` if it is none of these")]
    Ambiguous(Question),
}
