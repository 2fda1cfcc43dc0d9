//! Under which names the tables and columns of a schema are known after some statements.
//! Knows no database.

use std::collections::BTreeMap;

use super::catalog::Catalog;
use crate::sql::{
    name::{Name, ObjectKind},
    operation::Operation,
};

/// The tables that were there at first, by the names that they have now. Tables that the
/// statements make are not among them.
#[derive(Clone, Debug, Default)]
pub(crate) struct RenameTracker(BTreeMap<Name, TrackedTable>);

/// A table that was there at first.
#[derive(Clone, Debug)]
pub(crate) struct TrackedTable {
    /// Its first name.
    pub(crate) name: Name,
    /// The first names of its columns, by the names that they have now.
    pub(crate) columns: BTreeMap<Name, Name>,
}

/// A table, or a column of it, that is gone; by the first names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DroppedObject {
    pub(crate) table: Name,
    /// `None` if it is the whole table.
    pub(crate) column: Option<Name>,
}

/// A table that is still there.
#[derive(Clone, Debug)]
pub(crate) struct SurvivingTable {
    /// Its first name.
    pub(crate) name: Name,
    /// Its name now.
    pub(crate) new_name: Name,
}

impl RenameTracker {
    /// Tracks the tables of a catalog, with the columns that hold what somebody wrote.
    pub(crate) fn new(catalog: &Catalog) -> Self {
        let tables = catalog.tables().map(|(name, columns)| {
            let names = columns.iter().map(|column| column.name.clone());
            let tracked = TrackedTable {
                name: name.clone(),
                columns: names.map(|name| (name.clone(), name)).collect(),
            };
            (name.clone(), tracked)
        });
        Self(tables.collect())
    }

    /// Returns the tables that are not gone.
    pub(crate) fn surviving(&self) -> Vec<SurvivingTable> {
        let surviving = |(now, tracked): (&Name, &TrackedTable)| SurvivingTable {
            name: tracked.name.clone(),
            new_name: now.clone(),
        };
        self.0.iter().map(surviving).collect()
    }

    /// Returns the table that has this name now, if it was there at first.
    pub(crate) fn table(&self, now: &Name) -> Option<&TrackedTable> {
        self.0.get(now)
    }

    /// Follows an operation, if it renames something. Returns what had the new name before:
    /// it is gone.
    pub(crate) fn rename(&mut self, operation: &Operation) -> Option<DroppedObject> {
        match operation {
            Operation::RenameTable { from, to } => {
                let tracked = self.0.remove(from)?;
                let replaced = self.0.insert(to.clone(), tracked)?;
                Some(DroppedObject {
                    table: replaced.name,
                    column: None,
                })
            }
            Operation::RenameColumn { table, from, to } => {
                let tracked = self.0.get_mut(table)?;
                let column = tracked.columns.remove(from)?;
                let replaced = tracked.columns.insert(to.clone(), column)?;
                Some(DroppedObject {
                    table: tracked.name.clone(),
                    column: Some(replaced),
                })
            }
            _ => None,
        }
    }

    /// Follows an operation, if it renames or drops something.
    pub(crate) fn follow(&mut self, operation: &Operation) {
        if let Operation::Drop(ObjectKind::Table, table) = operation {
            self.0.remove(table);
        }
        self.rename(operation);
    }

    /// Drops what is not in `catalog`. A table under the same name is the same one, though it
    /// was rebuilt.
    pub(crate) fn retain(&mut self, catalog: &Catalog) -> Vec<DroppedObject> {
        let mut dropped = Vec::new();
        self.0.retain(|now, tracked| {
            let table = tracked.name.clone();
            if catalog.columns(now).is_none() {
                dropped.push(DroppedObject {
                    table,
                    column: None,
                });
                return false;
            }
            tracked.columns.retain(|column, name| {
                let is_there = catalog.column(now, column).is_some();
                if !is_there {
                    let (table, column) = (table.clone(), Some(name.clone()));
                    dropped.push(DroppedObject { table, column });
                }
                is_there
            });
            true
        });
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::catalog::{Column, Object};

    /// Tables with columns, all of which hold what somebody wrote.
    fn catalog(tables: &[(&str, &[&str])]) -> Catalog {
        let object = |(table, columns): &(&str, &[&str])| {
            let columns = columns.iter().map(|name| Column {
                name: Name::new(name),
                default: None,
            });
            let object = Object {
                ddl: String::new(),
                canonical: String::new(),
                columns: columns.collect(),
            };
            ((ObjectKind::Table, Name::new(table)), object)
        };
        tables.iter().map(object).collect()
    }

    fn tracker() -> RenameTracker {
        RenameTracker::new(&catalog(&[("A", &["x", "Y"]), ("b", &["x"])]))
    }

    fn dropped(table: &str, column: Option<&str>) -> DroppedObject {
        DroppedObject {
            table: Name::new(table),
            column: column.map(Name::new),
        }
    }

    fn follow(tracker: &mut RenameTracker, statements: &[&str]) -> Vec<DroppedObject> {
        let operations = statements.iter().map(|sql| Operation::classify(sql));
        operations
            .filter_map(|operation| tracker.rename(&operation))
            .collect()
    }

    #[test]
    fn a_table_and_its_columns_are_known_under_their_new_names() {
        let mut tracker = tracker();

        let gone = follow(
            &mut tracker,
            &[
                "alter table a rename to c",
                "alter table C rename column y to z",
                "alter table none rename to d",
            ],
        );

        assert_eq!(gone, []);
        let table = tracker.table(&Name::new("c")).unwrap();
        assert_eq!(table.name.spelled(), "A");
        assert_eq!(table.columns[&Name::new("z")].spelled(), "Y");
        assert!(tracker.table(&Name::new("a")).is_none());
        assert!(tracker.table(&Name::new("d")).is_none());
    }

    #[test]
    fn what_a_rename_replaces_is_gone() {
        let gone = follow(
            &mut tracker(),
            &["alter table a rename x to y", "alter table b rename to a"],
        );

        assert_eq!(gone, [dropped("a", Some("y")), dropped("a", None)]);
    }

    #[test]
    fn what_is_not_there_after_a_script_is_gone() {
        let mut tracker = tracker();
        follow(&mut tracker, &["alter table a rename x to z"]);

        let gone = tracker.retain(&catalog(&[("a", &["z"])]));

        assert_eq!(gone, [dropped("a", Some("y")), dropped("b", None)]);
        let [left] = &tracker.surviving()[..] else {
            panic!("one is left");
        };
        assert_eq!(
            (&left.name, &left.new_name),
            (&Name::new("a"), &Name::new("a"))
        );
    }

    #[test]
    fn a_table_that_was_dropped_is_not_followed() {
        let mut tracker = tracker();
        for statement in ["drop table a", "alter table b rename to a"] {
            tracker.follow(&Operation::classify(statement));
        }

        let table = tracker.table(&Name::new("a")).unwrap();
        assert_eq!(table.name, Name::new("b"));
    }
}
