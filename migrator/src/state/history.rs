//! What a database says of itself: whose it is, and which migrations were applied to it.
//! Knows no SQL.

use std::time::Duration;

use crate::project::migrations::{Direction, Migration};

/// Whose a database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// Nobody's: there is nothing in it.
    Empty,
    /// This system's.
    Ours,
    /// Tables that no migrator made, and nothing that says whose they are.
    Unclaimed,
    /// Something else's, and how that is known.
    Foreign(String),
}

/// A migration as the history has it.
#[derive(Clone, Debug)]
pub(crate) struct AppliedMigration {
    pub(crate) number: i64,
    /// With `_` between the words, as in the file name.
    pub(crate) name: String,
    pub(crate) checksum: Vec<u8>,
    /// What [`Migration::tokens`] said of its way up, unless an older migrator applied it.
    pub(crate) tokens: Option<Vec<u8>>,
    /// Whether it was applied to its end. Other tools that use this layout write down one
    /// that was not.
    pub(crate) success: bool,
    /// When it was applied: RFC 3339, UTC.
    pub(crate) time: Option<String>,
    /// How long it took, if that was written down.
    pub(crate) execution_time: Option<Duration>,
}

impl AppliedMigration {
    /// Whether this migration was applied: the same bytes, or else the same tokens.
    pub(crate) fn is(&self, migration: &Migration) -> bool {
        self.checksum == migration.checksum()
            || self
                .tokens
                .as_ref()
                .is_some_and(|tokens| *tokens == migration.tokens(Direction::Up))
    }
}

/// What a database says of itself at one moment.
#[derive(Clone, Debug)]
pub(crate) struct DatabaseState {
    pub(crate) identity: Identity,
    /// In ascending order. Empty unless the database is this system's.
    pub(crate) applied: Vec<AppliedMigration>,
}
