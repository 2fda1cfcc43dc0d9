//! Under which names the tables and columns of a schema are known after some statements.
//! Knows no database.

use std::collections::BTreeMap;

use super::{name::Name, operation::Operation};

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

impl RenameTracker {
    /// Tracks tables with their columns.
    pub(crate) fn new<'a, Columns>(tables: impl IntoIterator<Item = (&'a Name, Columns)>) -> Self
    where
        Columns: IntoIterator<Item = &'a Name>,
    {
        let tables = tables.into_iter().map(|(name, columns)| {
            let columns = columns.into_iter().map(|c| (c.clone(), c.clone()));
            let tracked = TrackedTable {
                name: name.clone(),
                columns: columns.collect(),
            };
            (name.clone(), tracked)
        });
        Self(tables.collect())
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

    /// Forgets the table that has this name now.
    pub(crate) fn remove(&mut self, now: &Name) {
        self.0.remove(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracker() -> RenameTracker {
        let (a, b, x, y) = (
            Name::new("A"),
            Name::new("b"),
            Name::new("x"),
            Name::new("Y"),
        );
        RenameTracker::new([(&a, [&x, &y]), (&b, [&x, &x])])
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

        let dropped = follow(
            &mut tracker,
            &[
                "alter table a rename to c",
                "alter table C rename column y to z",
                "alter table none rename to d",
            ],
        );

        assert_eq!(dropped, []);
        let table = tracker.table(&Name::new("c")).unwrap();
        assert_eq!(table.name.spelled(), "A");
        assert_eq!(table.columns[&Name::new("z")].spelled(), "Y");
        assert!(tracker.table(&Name::new("a")).is_none());
        assert!(tracker.table(&Name::new("d")).is_none());
    }

    #[test]
    fn what_a_rename_replaces_is_gone() {
        let dropped = follow(
            &mut tracker(),
            &["alter table a rename x to y", "alter table b rename to a"],
        );

        let (table, column) = (Name::new("a"), Some(Name::new("y")));
        let whole = DroppedObject {
            table: table.clone(),
            column: None,
        };
        assert_eq!(dropped, [DroppedObject { table, column }, whole]);
    }
}
