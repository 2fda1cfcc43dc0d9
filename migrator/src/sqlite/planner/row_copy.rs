//! What the rows of a table that is made anew have in its columns.

use super::error::Error;
use crate::{
    project::migrations::Direction,
    sql,
    sqlite::schema::{Column, KeyColumn, Name, Schema, Table},
};

/// Where the rows of a table come from.
pub(super) struct RowCopy {
    /// The columns that are written, and the expression for each.
    pub(super) columns: Vec<(String, String)>,
    /// The columns that get what they never had.
    pub(super) filled: Vec<Name>,
    /// The columns that get it only in rows where they had nothing.
    pub(super) mended: Vec<Name>,
}

/// How the rows of `before` become rows of `after`.
///
/// # Errors
///
/// [`Error::NotNullWithoutDefault`], on the way up.
pub(super) fn copy(
    to: &Schema,
    before: &Table,
    after: &Table,
    direction: Direction,
) -> Result<RowCopy, Error> {
    let mut copy = RowCopy {
        columns: rowid_of_both(before, after),
        filled: Vec::new(),
        mended: Vec::new(),
    };
    for column in after.columns.iter().filter(|c| c.generated.is_none()) {
        let name = column.name.quoted();
        let was = before.column(&column.name);
        let needed = is_needed(after, column);
        let value = match was {
            Some(was) if needed && !is_needed(before, was) && !is_rowid(before, was) => {
                let instead = default(column);
                let instead = match direction {
                    Direction::Up => instead.ok_or_else(|| missing(after, column))?,
                    Direction::Down => instead
                        .filter(|_| !is_keyed(to, after, &column.name))
                        .unwrap_or_else(|| placeholder(to, before, after, column)),
                };
                copy.mended.push(column.name.clone());
                Some(format!("coalesce({}, {instead})", read(before, was)))
            }
            Some(was) => Some(read(before, was)),
            None if is_rowid(after, column) => Some(number(before)),
            None if direction == Direction::Up && needed && column.default.is_none() => {
                return Err(missing(after, column));
            }
            None if direction == Direction::Up => None,
            None if needed || is_in_primary_key(after, &column.name) => {
                let keyed = is_keyed(to, after, &column.name);
                let fills = keyed || column.default.is_none();
                fills.then(|| placeholder(to, before, after, column))
            }
            // A value that all rows share would break a key; nothing does not.
            None => {
                let keyed = is_keyed(to, after, &column.name);
                (keyed && column.default.is_some()).then(|| "null".to_owned())
            }
        };
        if was.is_none() && value.is_some() {
            copy.filled.push(column.name.clone());
        }
        copy.columns.extend(value.map(|value| (name, value)));
    }
    if copy.columns.is_empty() {
        copy.columns.extend(anything(after));
    }
    Ok(copy)
}

/// The values of a column. What SQLite computes for a virtual column of real numbers is 1.0 to
/// whoever reads it, but 1 to a column that it is copied to, unless a cast makes it one.
fn read(before: &Table, was: &Column) -> String {
    let name = was.name.quoted();
    let virtually = was.generated.as_ref().is_some_and(|g| !g.stored);
    if virtually && affinity(before, was) == Affinity::Real {
        format!("iif(typeof({name}) = 'real', cast({name} as real), {name})")
    } else {
        name
    }
}

/// In which order rows are copied, if it makes a difference: a row without a value for what
/// becomes the rowid gets the next number, so it comes after those that have one.
pub(super) fn order(before: &Table, after: &Table) -> Option<String> {
    let is = after.rowid_alias()?;
    let was = before.column(&is.name)?;
    let numbered = !is_rowid(before, was) && !is_needed(before, was);
    numbered.then(|| {
        let (column, number) = (was.name.quoted(), number(before));
        format!("order by {column} is null, {number}")
    })
}

fn missing(table: &Table, column: &Column) -> Error {
    Error::NotNullWithoutDefault {
        table: table.name.clone(),
        column: column.name.clone(),
    }
}

/// One column for a row to be written at all.
fn anything(after: &Table) -> Option<(String, String)> {
    let column = after.columns.iter().find(|c| c.generated.is_none())?;
    let value = default(column).unwrap_or_else(|| "null".to_owned());
    Some((column.name.quoted(), value))
}

/// The rowids of a table, if it is not one of its columns that holds them: they stay.
fn rowid_of_both(before: &Table, after: &Table) -> Vec<(String, String)> {
    let (Some(old), Some(new)) = (hidden_rowid(before), hidden_rowid(after)) else {
        return Vec::new();
    };
    if before.rowid_alias().is_some() || after.rowid_alias().is_some() {
        return Vec::new();
    }
    vec![(new.to_owned(), old.to_owned())]
}

/// A name of the rowid that is no column's.
fn hidden_rowid(table: &Table) -> Option<&'static str> {
    let free = |name: &&&str| table.column(&Name::new(name)).is_none();
    let names = ["rowid", "_rowid_", "oid"];
    let name = names.iter().find(free).filter(|_| !table.without_rowid);
    name.copied()
}

/// A number that each row has for itself.
pub(super) fn number(table: &Table) -> String {
    let by_key = || {
        let keys = table.primary_key.iter().flat_map(|key| &key.columns);
        let keys: Vec<_> = keys.map(|column| column.column().quoted()).collect();
        format!("row_number() over (order by {})", keys.join(", "))
    };
    hidden_rowid(table).map_or_else(by_key, str::to_owned)
}

fn is_rowid(table: &Table, column: &Column) -> bool {
    table
        .rowid_alias()
        .is_some_and(|alias| alias.name == column.name)
}

/// Whether no row is without a value in a column.
pub(super) fn is_needed(table: &Table, column: &Column) -> bool {
    let by_key = (table.without_rowid || table.strict) && is_in_primary_key(table, &column.name);
    !is_rowid(table, column) && (column.not_null.is_some() || by_key)
}

fn is_in_primary_key(table: &Table, name: &Name) -> bool {
    let columns = table.primary_key.iter().flat_map(|key| &key.columns);
    columns.into_iter().any(|column| column.column() == *name)
}

/// Whether values of a column, or what is computed from them, may have to differ from row
/// to row.
pub(super) fn is_keyed(schema: &Schema, table: &Table, name: &Name) -> bool {
    let keys = table.primary_key.iter().chain(&table.uniques);
    let keys = keys.flat_map(|key| &key.columns);
    let indexes = schema.indexes.values();
    let indexes = indexes.filter(|index| index.unique && index.table == table.name);
    let mut columns = keys.chain(indexes.flat_map(|index| &index.columns));
    let generated = |column: &&Column| {
        let expression = column.generated.as_ref().map(|g| &g.expression);
        column.name != *name && expression.is_some_and(|expression| name.is_in(expression))
    };
    let mut generated = table.columns.iter().filter(generated);
    columns.any(|column: &KeyColumn| column.column() == *name || name.is_in(&column.expression))
        || generated.any(|column| is_keyed(schema, table, &column.name))
}

/// Whether what has to differ from row to row, or which rows have to, is computed from a
/// column: it may be the same for values that differ.
pub(super) fn is_in_computed_key(schema: &Schema, table: &Table, name: &Name) -> bool {
    let indexes = schema.indexes.values();
    let indexes = indexes.filter(|index| index.unique && index.table == table.name);
    let conditions = indexes.clone().filter_map(|index| index.condition.as_ref());
    let mut conditions = conditions.filter(|condition| name.is_in(condition));
    let mut columns = indexes.flat_map(|index| &index.columns);
    let computed = |column: &Column| {
        let expression = column.generated.as_ref().map(|g| &g.expression);
        column.name != *name
            && expression.is_some_and(|expression| name.is_in(expression))
            && is_keyed(schema, table, &column.name)
    };
    conditions.next().is_some()
        || columns.any(|column| column.column() != *name && name.is_in(&column.expression))
        || table.columns.iter().any(computed)
}

/// The default of a column, as an operand.
fn default(column: &Column) -> Option<String> {
    let default = column.default.as_ref()?;
    Some(match sql::tokens(default).len() {
        1 | 2 => default.clone(),
        _ => format!("({default})"),
    })
}

/// A value for a row that has none: zero, or the row's number if the rows have to differ.
fn placeholder(to: &Schema, before: &Table, after: &Table, column: &Column) -> String {
    let affinity = affinity(after, column);
    if !is_keyed(to, after, &column.name) {
        return match affinity {
            Affinity::Text => "''".to_owned(),
            Affinity::Blob if after.strict => "x''".to_owned(),
            _ => "0".to_owned(),
        };
    }
    let number = number(before);
    match affinity {
        Affinity::Text => format!("cast({number} as text)"),
        Affinity::Blob if after.strict && column.type_name == "blob" => {
            format!("cast({number} as blob)")
        }
        _ => number,
    }
}

/// What SQLite makes of a value that it stores in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Affinity {
    Integer,
    Text,
    /// It stays as it is.
    Blob,
    Real,
    Numeric,
}

/// <https://sqlite.org/datatype3.html#determination_of_column_affinity>, and ANY of a
/// strict table.
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

/// Whether values of a column may be other ones after they are copied.
pub(super) fn may_change(before: &Table, was: &Column, after: &Table, is: &Column) -> bool {
    let (from, to) = (affinity(before, was), affinity(after, is));
    let numbers = [Affinity::Integer, Affinity::Numeric];
    let same =
        from == to || to == Affinity::Blob || (numbers.contains(&from) && numbers.contains(&to));
    // Nothing becomes a number there.
    let numbered = is_rowid(after, is) && !is_rowid(before, was) && !is_needed(before, was);
    !same || numbered || (is.generated != was.generated && is.generated.is_some())
}
