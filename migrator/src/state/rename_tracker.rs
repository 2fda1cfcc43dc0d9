//! Tracks the tables and columns of a schema through renames. Knows no database.

use std::collections::BTreeMap;

use super::catalog::Catalog;
use crate::sql::{
    name::{Name, ObjectKind},
    operation::Operation,
};

/// The tables of the initial schema by their current names. Tables that a statement creates are
/// not tracked.
#[derive(Clone, Debug, Default)]
pub(crate) struct RenameTracker(BTreeMap<Name, TrackedTable>);

/// A table of the initial schema.
#[derive(Clone, Debug)]
pub(crate) struct TrackedTable {
    /// The initial name.
    pub(crate) name: Name,
    /// The initial names of the columns by their current names.
    pub(crate) columns: BTreeMap<Name, Name>,
}

/// A dropped table or column, by its initial names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DroppedObject {
    pub(crate) table: Name,
    /// `None` for a whole table.
    pub(crate) column: Option<Name>,
}

/// A table that was not dropped.
#[derive(Clone, Debug)]
pub(crate) struct SurvivingTable {
    /// The initial name.
    pub(crate) name: Name,
    /// The current name.
    pub(crate) new_name: Name,
}

impl RenameTracker {
    /// Tracks the tables of a catalog with their stored columns.
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

    /// Returns the tables that were not dropped.
    pub(crate) fn surviving(&self) -> Vec<SurvivingTable> {
        let surviving = |(current, tracked): (&Name, &TrackedTable)| SurvivingTable {
            name: tracked.name.clone(),
            new_name: current.clone(),
        };
        self.0.iter().map(surviving).collect()
    }

    /// Returns the table with this current name, if it is tracked.
    pub(crate) fn table(&self, current: &Name) -> Option<&TrackedTable> {
        self.0.get(current)
    }

    /// Applies a rename. Returns the object that had the new name before, which the script must
    /// have dropped.
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

    /// Applies a rename or the drop of a table.
    pub(crate) fn apply(&mut self, operation: &Operation) {
        if let Operation::Drop(ObjectKind::Table, table) = operation {
            self.0.remove(table);
        }
        self.rename(operation);
    }

    /// Removes and returns the objects that `catalog` lacks. A rebuilt table counts as the same
    /// table.
    pub(crate) fn retain(&mut self, catalog: &Catalog) -> Vec<DroppedObject> {
        let mut dropped = Vec::new();
        self.0.retain(|current, tracked| {
            let table = tracked.name.clone();
            if catalog.columns(current).is_none() {
                dropped.push(DroppedObject {
                    table,
                    column: None,
                });
                return false;
            }
            tracked.columns.retain(|column, name| {
                let exists = catalog.column(current, column).is_some();
                if !exists {
                    let (table, column) = (table.clone(), Some(name.clone()));
                    dropped.push(DroppedObject { table, column });
                }
                exists
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

    /// Builds a catalog of tables with these columns.
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

    fn rename(tracker: &mut RenameTracker, statements: &[&str]) -> Vec<DroppedObject> {
        let operations = statements.iter().map(|sql| Operation::classify(sql));
        operations
            .filter_map(|operation| tracker.rename(&operation))
            .collect()
    }

    #[test]
    fn renames_are_tracked_by_the_current_names() {
        let mut tracker = tracker();

        let dropped_objects = rename(
            &mut tracker,
            &[
                "alter table a rename to c",
                "alter table C rename column y to z",
                "alter table none rename to d",
            ],
        );

        assert_eq!(dropped_objects, []);
        let table = tracker.table(&Name::new("c")).unwrap();
        assert_eq!(table.name.spelled(), "A");
        assert_eq!(table.columns[&Name::new("z")].spelled(), "Y");
        assert!(tracker.table(&Name::new("a")).is_none());
        assert!(tracker.table(&Name::new("d")).is_none());
    }

    #[test]
    fn a_rename_drops_the_object_that_it_replaces() {
        let dropped_objects = rename(
            &mut tracker(),
            &["alter table a rename x to y", "alter table b rename to a"],
        );

        assert_eq!(
            dropped_objects,
            [dropped("a", Some("y")), dropped("a", None)]
        );
    }

    #[test]
    fn objects_missing_from_the_catalog_are_dropped() {
        let mut tracker = tracker();
        rename(&mut tracker, &["alter table a rename x to z"]);

        let dropped_objects = tracker.retain(&catalog(&[("a", &["z"])]));

        assert_eq!(
            dropped_objects,
            [dropped("a", Some("y")), dropped("b", None)]
        );
        let [left] = &tracker.surviving()[..] else {
            panic!("one is left");
        };
        assert_eq!(
            (&left.name, &left.new_name),
            (&Name::new("a"), &Name::new("a"))
        );
    }

    #[test]
    fn a_dropped_table_is_no_longer_tracked() {
        let mut tracker = tracker();
        for statement in ["drop table a", "alter table b rename to a"] {
            tracker.apply(&Operation::classify(statement));
        }

        let table = tracker.table(&Name::new("a")).unwrap();
        assert_eq!(table.name, Name::new("b"));
    }
}
