//! Changes that destroy data. Knows no database.

use std::fmt;

use super::{cursor::Cursor, name::Name};

/// The data that a statement destroys. Printed and parsed as the text after `@destroys`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DestructiveChange {
    /// A table with its rows.
    Table(Name),
    /// Rows of a table that is kept.
    Rows(Name),
    /// A column with its values.
    Column(Name, Name),
    /// Values of a column that another type or an expression converts.
    Values(Name, Name),
    /// The AUTOINCREMENT sequence: ids of deleted rows may be assigned again.
    Sequence(Name),
}

impl DestructiveChange {
    /// Parses a printed change in any letter case. Returns `None` for any other text.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut cursor = Cursor::new(text);
        let kind = cursor.any().ok()?.text.to_ascii_lowercase();
        let table = cursor.name().ok()?;
        let mut column = None;
        if cursor.eat_symbol(".") {
            column = Some(cursor.name().ok()?);
        }
        if cursor.next().is_some() {
            return None;
        }
        match (kind.as_str(), column) {
            ("table", None) => Some(Self::Table(table)),
            ("rows", None) => Some(Self::Rows(table)),
            ("column", Some(column)) => Some(Self::Column(table, column)),
            ("values", Some(column)) => Some(Self::Values(table, column)),
            ("autoincrement", None) => Some(Self::Sequence(table)),
            _ => None,
        }
    }
}

impl fmt::Display for DestructiveChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(table) => write!(f, "table {}", table.quoted()),
            Self::Rows(table) => write!(f, "rows {}", table.quoted()),
            Self::Column(table, column) => {
                write!(f, "column {}.{}", table.quoted(), column.quoted())
            }
            Self::Values(table, column) => {
                write!(f, "values {}.{}", table.quoted(), column.quoted())
            }
            Self::Sequence(table) => write!(f, "autoincrement {}", table.quoted()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_change_can_be_parsed() {
        let (table, column) = (|| Name::new("Order"), || Name::new("a \"b\".c"));
        for change in [
            DestructiveChange::Table(table()),
            DestructiveChange::Rows(table()),
            DestructiveChange::Column(table(), column()),
            DestructiveChange::Values(table(), column()),
            DestructiveChange::Sequence(table()),
        ] {
            let printed = change.to_string();

            assert_eq!(
                DestructiveChange::parse(&printed),
                Some(change),
                "{printed}"
            );
        }
        for text in [
            "",
            "table",
            "table a.b",
            "column a",
            "rows a, which nobody needs",
            "view a",
            "column a.",
            "table a.",
        ] {
            assert_eq!(DestructiveChange::parse(text), None, "{text}");
        }
    }
}
