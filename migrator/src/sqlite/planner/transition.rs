//! What a plan is made from: two schemas, what was renamed between them, and what becomes of
//! each table that both have.

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

/// See the module.
pub(super) struct Transition<'a> {
    pub(super) from: &'a Schema,
    pub(super) to: &'a Schema,
    pub(super) renames: &'a Renames,
    /// Down leads back: what is missing is made up.
    pub(super) direction: Direction,
    /// `from` after the renames.
    pub(super) before: RenamedSchema,
    /// What is done with each table that both have.
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
                // How the tables got to be as they are.
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

    /// SQLite loses track of such a column and fails, whatever the rename.
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

    /// The tables that go.
    pub(super) fn gone_tables(&self) -> impl Iterator<Item = &Table> {
        let gone = |table: &&Table| {
            !self.to.tables.contains_key(&table.name) && self.renames.table(&table.name).is_none()
        };
        self.from.tables.values().filter(gone)
    }

    /// The tables that come, first those to which others refer.
    pub(super) fn new_tables(&self) -> Vec<&Table> {
        let new = |table: &&Table| !self.before.schema.tables.contains_key(&table.name);
        by_reference(self.to.tables.values().filter(new).collect())
    }

    /// Whether a table that both have is made anew.
    pub(super) fn is_rebuilt(&self, table: &Name) -> bool {
        matches!(self.changes.get(table), Some(TableChange::Rebuild))
    }

    /// Whether SQLite looks at all views and triggers on this way, as it does when
    /// something is renamed or a column goes, and fails if one refers to what is not
    /// there.
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

/// Tables in an order in which each comes after those that it refers to.
pub(super) fn by_reference(tables: Vec<&Table>) -> Vec<&Table> {
    sorted(tables, |table, other| {
        table.name != other.name && table.foreign_keys.iter().any(|key| key.table == other.name)
    })
}

/// Sorts objects so that each comes after those that it needs, as far as there is such an
/// order; else they stay as they are.
pub(super) fn sorted<T>(mut waiting: Vec<&T>, needs: impl Fn(&T, &T) -> bool) -> Vec<&T> {
    let mut sorted = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let free = |object: &&T| !waiting.iter().any(|other| needs(object, other));
        let at = waiting.iter().position(free).unwrap_or(0);
        sorted.push(waiting.remove(at));
    }
    sorted
}
