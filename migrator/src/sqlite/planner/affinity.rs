//! The type affinity of a column, by which SQLite converts stored values.

use crate::sqlite::schema::{Column, Table};

/// The type affinity of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Affinity {
    Integer,
    Text,
    /// Values are stored unchanged.
    Blob,
    Real,
    Numeric,
}

/// Determines the affinity as in
/// <https://sqlite.org/datatype3.html#determination_of_column_affinity>, and for ANY of a strict
/// table.
pub(super) fn affinity(table: &Table, column: &Column) -> Affinity {
    let name = column.type_name.as_str();
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    if name.is_empty() || (table.strict && name == "any") {
        Affinity::Blob
    } else if has(&["int"]) {
        Affinity::Integer
    } else if has(&["char", "clob", "text"]) {
        Affinity::Text
    } else if has(&["blob"]) {
        Affinity::Blob
    } else if has(&["real", "floa", "doub"]) {
        Affinity::Real
    } else {
        Affinity::Numeric
    }
}
