//! A migration as reports name it.

use std::fmt;

use serde::Serialize;

use crate::{
    project::{migrations::Migration, paths::ROOT},
    state::history::AppliedMigration,
};

/// A migration by its number, name and owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MigrationRef {
    /// The position in the sequence, from 1.
    pub number: i64,
    /// Words joined by `_`.
    pub name: String,
    /// The owner whose tables the migration changes, or `None` if this program lacks the
    /// migration.
    pub owner: Option<String>,
}

impl MigrationRef {
    pub(super) fn owner(&self) -> &str {
        self.owner.as_deref().unwrap_or("unknown")
    }
}

impl From<&Migration> for MigrationRef {
    fn from(migration: &Migration) -> Self {
        Self {
            number: migration.number(),
            name: migration.name().to_owned(),
            owner: Some(migration.owner().to_owned()),
        }
    }
}

impl From<&AppliedMigration> for MigrationRef {
    fn from(applied: &AppliedMigration) -> Self {
        Self {
            number: applied.number,
            name: applied.name.clone(),
            owner: None,
        }
    }
}

impl fmt::Display for MigrationRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04} {}", self.number, self.name)?;
        match self.owner() {
            // A project with an owner in its root usually has no other.
            ROOT => Ok(()),
            owner => write!(f, " ({owner})"),
        }
    }
}
