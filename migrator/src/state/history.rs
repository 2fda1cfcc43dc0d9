//! The identity and the migration history of a database. Knows no SQL.

use std::time::Duration;

use crate::project::migrations::{Direction, Migration};

/// The owner of a database, as its application id and its tables show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// The database is empty.
    Empty,
    /// The database belongs to this application and has a history.
    Ours,
    /// The database has tables, but neither a history nor an application id.
    NoHistory,
    /// The database belongs to another application, with the evidence.
    Foreign(String),
}

/// A row of the migration history.
#[derive(Clone, Debug)]
pub(crate) struct AppliedMigration {
    pub(crate) number: i64,
    /// Words joined by `_`, as in the file name.
    pub(crate) name: String,
    pub(crate) checksum: Vec<u8>,
    /// The [`Migration::token_hash`] of the up script, unless an older migrator applied it.
    pub(crate) token_hash: Option<Vec<u8>>,
    /// True if the migration was applied completely. Other tools that use this layout also record
    /// unfinished ones.
    pub(crate) success: bool,
    /// RFC 3339, UTC.
    pub(crate) applied_at: Option<String>,
    /// The execution time, if it was recorded.
    pub(crate) execution_time: Option<Duration>,
}

impl AppliedMigration {
    /// Reports whether `migration` is the applied one: equal bytes, or at least equal tokens.
    pub(crate) fn matches(&self, migration: &Migration) -> bool {
        self.checksum == migration.checksum()
            || self
                .token_hash
                .as_ref()
                .is_some_and(|hash| *hash == migration.token_hash(Direction::Up))
    }
}

/// A database's identity and history from one snapshot.
#[derive(Clone, Debug)]
pub(crate) struct DatabaseState {
    pub(crate) identity: Identity,
    /// In ascending order. Empty unless the identity is [`Identity::Ours`].
    pub(crate) applied: Vec<AppliedMigration>,
}
