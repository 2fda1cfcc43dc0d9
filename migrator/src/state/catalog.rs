//! The catalog of a database: the DDL of each object by kind and name, independent of the
//! engine's grammar.
//!
//! Equal objects behave equally in the engine. The drift check, the check after a run,
//! `baseline`, `check` and `diff` compare only catalogs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
};

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::sql::name::{Name, ObjectKind};

/// The declared objects of a database, without the internal ones of the engine and the migrator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Catalog(BTreeMap<(ObjectKind, Name), Object>);

/// An object of a database.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    /// The normalised DDL, with the columns in their order.
    pub(crate) ddl: String,
    /// The normalised DDL with sorted columns: equal for equal objects.
    pub(crate) canonical: String,
    /// The columns of a table, without generated ones.
    pub(crate) columns: Vec<Column>,
}

/// A column with stored values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: Name,
    /// The default expression; `None` stands for NULL.
    pub(crate) default: Option<String>,
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }
}

impl Eq for Object {}

impl FromIterator<((ObjectKind, Name), Object)> for Catalog {
    fn from_iter<T: IntoIterator<Item = ((ObjectKind, Name), Object)>>(objects: T) -> Self {
        Self(objects.into_iter().collect())
    }
}

impl Catalog {
    /// Returns the DDL, a blank line between two statements.
    pub(crate) fn ddl(&self) -> String {
        script(self.0.values().map(|object| &object.ddl))
    }

    /// Returns the SHA-256 of the canonical DDL: 64 hexadecimal digits.
    pub(crate) fn hash(&self) -> String {
        let canonical = script(self.0.values().map(|object| &object.canonical));
        hex(&Sha256::digest(canonical.as_bytes()))
    }

    /// Returns the columns of a table, if it exists.
    pub(crate) fn columns(&self, table: &Name) -> Option<&[Column]> {
        let object = self.0.get(&(ObjectKind::Table, table.clone()))?;
        Some(&object.columns)
    }

    /// Returns a column of a table, if it exists.
    pub(crate) fn column(&self, table: &Name, column: &Name) -> Option<&Column> {
        let mut columns = self.columns(table)?.iter();
        columns.find(|candidate| candidate.name == *column)
    }

    /// Returns the tables with their columns.
    pub(crate) fn tables(&self) -> impl Iterator<Item = (&Name, &[Column])> {
        let objects = self.0.iter();
        let tables = objects.filter(|((kind, _), _)| *kind == ObjectKind::Table);
        tables.map(|((_, name), object)| (name, object.columns.as_slice()))
    }

    /// Returns the differences of `actual`, ordered by kind and name.
    pub(crate) fn differences(&self, actual: &Self) -> Vec<Difference> {
        let keys: BTreeSet<_> = self.0.keys().chain(actual.0.keys()).collect();
        let differs = |key: &(ObjectKind, Name)| {
            let (expected, actual) = (self.0.get(key), actual.0.get(key));
            let ddl = |object: &Object| object.ddl.clone();
            (expected != actual).then(|| Difference {
                object: format!("{} {}", key.0, key.1),
                expected: expected.map(ddl),
                actual: actual.map(ddl),
            })
        };
        keys.into_iter().filter_map(differs).collect()
    }

    /// Returns the names of the objects that differ in `actual`, separated by commas.
    pub(crate) fn difference_names(&self, actual: &Self) -> String {
        let differences = self.differences(actual).into_iter();
        let objects: Vec<_> = differences.map(|difference| difference.object).collect();
        objects.join(", ")
    }
}

/// Encodes bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn script<'a>(statements: impl Iterator<Item = &'a String>) -> String {
    let statements: Vec<_> = statements
        .map(|statement| format!("{statement};\n"))
        .collect();
    statements.join("\n")
}

/// An object that differs between two catalogs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The kind and the name, such as `table users`.
    pub object: String,
    /// The expected DDL; `None` for an unexpected object.
    pub expected: Option<String>,
    /// The actual DDL; `None` for a missing object.
    pub actual: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.object)?;
        match (&self.expected, &self.actual) {
            (Some(_), None) => f.write_str(" is missing"),
            (None, _) => f.write_str(" is unexpected"),
            (Some(expected), Some(actual)) => {
                let lines = changed_lines(expected, actual);
                write!(f, " is different{lines}")
            }
        }
    }
}

/// Returns the lines that only one of two statements has, each after a line break: `+` for
/// expected lines, `-` for actual ones.
fn changed_lines(expected: &str, actual: &str) -> String {
    let bare = |line: &str| line.trim_end_matches(',').to_owned();
    let mut changed = String::new();
    for (sign, lines, others) in [('+', expected, actual), ('-', actual, expected)] {
        let others: Vec<_> = others.lines().map(bare).collect();
        for line in lines.lines().map(bare) {
            if !others.contains(&line) {
                // Writing to a string cannot fail.
                let _ = write!(changed, "\n{sign} {}", line.trim());
            }
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog(objects: &[(ObjectKind, &str, &str, &str)]) -> Catalog {
        let object = |&(kind, name, ddl, canonical): &(ObjectKind, &str, &str, &str)| {
            let object = Object {
                ddl: ddl.to_owned(),
                canonical: canonical.to_owned(),
                columns: Vec::new(),
            };
            ((kind, Name::new(name)), object)
        };
        objects.iter().map(object).collect()
    }

    #[test]
    fn the_order_of_columns_does_not_count() {
        let one = catalog(&[(ObjectKind::Table, "a", "table a (c, b)", "table a (b, c)")]);
        let other = catalog(&[(ObjectKind::Table, "A", "table a (b, c)", "table a (b, c)")]);

        assert_eq!(one, other);
        assert_eq!(one.hash(), other.hash());
        assert_eq!(one.differences(&other), []);
        assert_eq!(one.ddl(), "table a (c, b);\n");
    }

    #[test]
    fn differences_are_ordered_by_kind_and_name() {
        let expected = catalog(&[
            (ObjectKind::Index, "i", "index i", "index i"),
            (ObjectKind::Table, "a", "table a (\n  b,\n  c\n)", "1"),
            (ObjectKind::Table, "z", "table z", "table z"),
        ]);
        let actual = catalog(&[
            (ObjectKind::Table, "a", "table a (\n  b\n)", "2"),
            (ObjectKind::View, "a", "view a", "view a"),
            (ObjectKind::Table, "z", "table z", "table z"),
        ]);

        let differences = expected.differences(&actual);

        let texts: Vec<_> = differences.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "table a is different\n+ c",
                "index i is missing",
                "view a is unexpected",
            ]
        );
        assert_eq!(
            expected.difference_names(&actual),
            "table a, index i, view a"
        );
        assert_ne!(expected.hash(), actual.hash());
    }
}
