//! Orphans: rows whose foreign keys refer to missing rows. Their SQL is here.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;

use crate::error::run::RunError;

/// A row with a broken reference: its table, its rowid if the table has one, and the referenced
/// table.
type Orphan = (String, Option<i64>, String);

/// The orphans of a database, each with its number of broken references.
#[derive(Debug)]
pub(crate) struct Orphans(BTreeMap<Orphan, usize>);

impl Orphans {
    /// Reads all orphans.
    pub(crate) async fn read(connection: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        let rows: Vec<(String, Option<i64>, String, i64)> =
            sqlx::query_as("pragma foreign_key_check")
                .fetch_all(connection)
                .await?;
        let mut orphans = BTreeMap::new();
        for (table, row, parent, _) in rows {
            *orphans.entry((table, row, parent)).or_default() += 1;
        }
        Ok(Self(orphans))
    }

    /// Returns the table of the first orphan, and the table that it refers to.
    pub(crate) fn first(&self) -> Option<(&str, &str)> {
        let ((table, _, parent), _) = self.0.first_key_value()?;
        Some((table, parent))
    }

    /// Returns the number of broken references.
    pub(crate) fn count(&self) -> usize {
        self.0.values().sum()
    }

    /// Rejects an orphan that did not exist `before`.
    pub(crate) fn reject_new(&self, before: &Self) -> Result<(), RunError> {
        let is_new = |(orphan, count): &(&Orphan, &usize)| {
            **count > before.0.get(*orphan).copied().unwrap_or_default()
        };
        match self.0.iter().find(is_new) {
            None => Ok(()),
            Some(((table, row, parent), _)) => Err(RunError::Orphan {
                table: table.clone(),
                row: *row,
                parent: parent.clone(),
            }),
        }
    }
}
