//! The input of a plan: two schemas, the renames between them, and the change of each table that
//! both have.

use std::collections::BTreeMap;

use super::{
    error::Error,
    renamed::RenamedSchema,
    renames::Renames,
    table_change::{self, TableChange},
};
use crate::{
    project::migrations::Direction,
    sql::name::Name,
    sqlite::schema::{KeyColumn, Schema, Table},
};

/// The transition that a plan makes.
pub(super) struct Transition<'a> {
    pub(super) from: &'a Schema,
    pub(super) to: &'a Schema,
    pub(super) renames: &'a Renames,
    /// A down migration fills in missing values with placeholders.
    pub(super) direction: Direction,
    /// `from` after the renames.
    pub(super) before: RenamedSchema,
    /// The change of each table that both schemas have.
    pub(super) changes: BTreeMap<Name, TableChange>,
}

impl<'a> Transition<'a> {
    pub(super) fn new(
        from: &'a Schema,
        to: &'a Schema,
        renames: &'a Renames,
        direction: Direction,
    ) -> Self {
        let before = RenamedSchema::new(from, renames);
        let changes = match direction {
            Direction::Up => table_change::plan_all(&before, to, direction, None),
            Direction::Down => {
                // The up migration that this one reverts.
                let inverse = renames.inverse();
                let up = table_change::plan_all(
                    &RenamedSchema::new(to, &inverse),
                    from,
                    Direction::Up,
                    None,
                );
                table_change::plan_all(&before, to, direction, Some((&up, renames)))
            }
        };
        Self {
            from,
            to,
            renames,
            direction,
            before,
            changes,
        }
    }

    /// Rejects a rename on which SQLite fails: it loses track of such a column.
    pub(super) fn check_renames(&self) -> Result<(), Error> {
        for (name, column, _) in self.renames.columns() {
            let Some(table) = self.from.tables.get(name).filter(|t| t.without_rowid) else {
                continue;
            };
            let is = |key: &KeyColumn| key.column() == *column;
            let key = table
                .primary_key
                .as_ref()
                .map_or(&[][..], |key| &key.columns);
            let integer = table
                .column(column)
                .is_some_and(|c| c.type_name == "integer");
            let unique = table.uniques.iter().flat_map(|key| &key.columns).any(is);
            if matches!(key, [only] if is(only)) && integer && unique {
                return Err(Error::Unsupported {
                    table: table.name.clone(),
                    why: "SQLite does not rename the INTEGER key of a WITHOUT ROWID table \
                          that a UNIQUE of it names: leave the UNIQUE out before",
                });
            }
        }
        Ok(())
    }

    /// Returns the dropped tables.
    pub(super) fn gone_tables(&self) -> impl Iterator<Item = &Table> {
        let gone = |table: &&Table| {
            !self.to.tables.contains_key(&table.name) && self.renames.table(&table.name).is_none()
        };
        self.from.tables.values().filter(gone)
    }

    /// Returns the new tables, referenced tables before the referring ones.
    pub(super) fn new_tables(&self) -> Vec<&Table> {
        let new = |table: &&Table| !self.before.schema.tables.contains_key(&table.name);
        by_reference(self.to.tables.values().filter(new).collect())
    }

    /// Reports whether a table is rebuilt.
    pub(super) fn is_rebuilt(&self, table: &Name) -> bool {
        matches!(self.changes.get(table), Some(TableChange::Rebuild))
    }

    /// Reports whether a step makes SQLite parse all views and triggers. A rename or a DROP COLUMN
    /// does, and fails if one refers to a missing object.
    pub(super) fn checks_all(&self) -> bool {
        self.renames.tables().next().is_some()
            || self.renames.columns().next().is_some()
            || self.changes.values().any(|change| match change {
                TableChange::None => false,
                TableChange::InPlace { drop, .. } => !drop.is_empty(),
                TableChange::Rebuild => true,
            })
    }
}

/// Sorts tables so that each comes after those that it refers to.
pub(super) fn by_reference(tables: Vec<&Table>) -> Vec<&Table> {
    sorted(tables, |table, other| {
        table.name != other.name && table.foreign_keys.iter().any(|key| key.table == other.name)
    })
}

/// Sorts objects so that each comes after those that it needs. In a circle, the order stays.
pub(super) fn sorted<T>(mut waiting: Vec<&T>, needs: impl Fn(&T, &T) -> bool) -> Vec<&T> {
    let mut sorted = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let free = |object: &&T| !waiting.iter().any(|other| needs(object, other));
        let at = waiting.iter().position(free).unwrap_or(0);
        sorted.push(waiting.remove(at));
    }
    sorted
}
