//! Why there is no plan.

use super::question::Question;
use crate::sql::name::Name;

/// Why there is no plan.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// Give it a default, or let it be empty.
    #[error(
        "column {table}.{column} is NOT NULL and has no default, so rows that have no value \
         for it cannot be kept: give it a constant default, or leave NOT NULL out"
    )]
    NotNullWithoutDefault {
        /// Its table.
        table: Name,
        /// The column.
        column: Name,
    },
    /// Say which it was, or take the directive away.
    #[error(
        "{new} is `@renamed from={old}`, and {why}: name what it was called before, or take \
         the directive away"
    )]
    UnresolvedDirective {
        /// What stands beside the directive, as `users` or `users.bio`.
        new: String,
        /// What the directive names.
        old: Name,
        /// Why that cannot be.
        why: &'static str,
    },
    /// Make the change in steps that SQLite can make.
    #[error("table {table} cannot be changed so: {why}")]
    Unsupported {
        /// The table.
        table: Name,
        /// What is in the way, and what to do.
        why: &'static str,
    },
    /// Say whether it is new.
    #[error("{0}: write `-- @renamed from=…` beside it, or `-- @added` if it is none of these")]
    Ambiguous(Question),
}
