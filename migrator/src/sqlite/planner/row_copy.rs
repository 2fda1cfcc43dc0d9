//! The values of the rows that a table rebuild copies.

use super::{
    affinity::{Affinity, affinity},
    error::Error,
};
use crate::{
    project::migrations::Direction,
    sql::{self, name::Name},
    sqlite::schema::{Column, KeyColumn, Schema, Table},
};

/// The source of the rows of a rebuilt table.
pub(super) struct RowCopy {
    /// The written columns, each with its expression.
    pub(super) columns: Vec<(String, String)>,
    /// The new columns, which have no old values.
    pub(super) without_old_values: Vec<Name>,
    /// The columns in which only NULL is replaced.
    pub(super) null_replaced: Vec<Name>,
    /// The columns that reject NULL now, and have no default to replace it.
    pub(super) null_rejected: Vec<Name>,
}

/// Returns the source of the rows of `after`, which are copied from `before`.
///
/// # Errors
///
/// [`Error::NotNullWithoutDefault`], for an up migration.
pub(super) fn row_copy(
    to: &Schema,
    before: &Table,
    after: &Table,
    direction: Direction,
) -> Result<RowCopy, Error> {
    let mut copy = RowCopy {
        columns: rowid_of_both(before, after),
        without_old_values: Vec::new(),
        null_replaced: Vec::new(),
        null_rejected: Vec::new(),
    };
    for column in after.columns.iter().filter(|c| c.generated.is_none()) {
        let was = before.column(&column.name);
        let kept = || was.map_or_else(|| "null".to_owned(), |was| read(before, was));
        let instead = || default(column).unwrap_or_else(|| "null".to_owned());
        let made_up = || placeholder(to, before, after, column);
        let traits = ColumnTraits::new(to, before, after, column, direction);
        let source = value_source(traits);
        let value = match source {
            ValueSource::Kept => kept(),
            ValueSource::KeptOrDefault => format!("coalesce({}, {})", kept(), instead()),
            ValueSource::KeptOrPlaceholder => format!("coalesce({}, {})", kept(), made_up()),
            ValueSource::RowNumber => number(before),
            ValueSource::Placeholder => made_up(),
            ValueSource::Null => "null".to_owned(),
            ValueSource::Default => continue,
            ValueSource::Refused => return Err(not_null_without_default(after, column)),
        };
        if was.is_none() {
            copy.without_old_values.push(column.name.clone());
        } else if source != ValueSource::Kept {
            copy.null_replaced.push(column.name.clone());
        } else if traits.is_needed && traits.was_empty {
            copy.null_rejected.push(column.name.clone());
        }
        copy.columns.push((column.name.quoted(), value));
    }
    if copy.columns.is_empty() {
        copy.columns.extend(any_column(after));
    }
    Ok(copy)
}

/// The source of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ValueSource {
    /// The old value.
    Kept,
    /// The old value, or the default instead of NULL.
    KeptOrDefault,
    /// The old value, or a placeholder instead of NULL.
    KeptOrPlaceholder,
    /// A number that is unique to the row.
    RowNumber,
    /// A placeholder.
    Placeholder,
    Null,
    /// The default, which SQLite fills in for an unwritten column.
    Default,
    /// No source: the rows cannot be kept.
    Refused,
}

/// The traits of a column that decide the source of its values.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an independent trait"
)]
struct ColumnTraits {
    direction: Direction,
    /// True if the column existed before.
    was_there: bool,
    /// True if the column allowed NULL before.
    was_empty: bool,
    /// True if the column rejects NULL now.
    is_needed: bool,
    is_rowid: bool,
    is_in_primary_key: bool,
    /// True if a unique key may cover its values.
    is_keyed: bool,
    has_default: bool,
}

impl ColumnTraits {
    fn new(
        to: &Schema,
        before: &Table,
        after: &Table,
        column: &Column,
        direction: Direction,
    ) -> Self {
        let was = before.column(&column.name);
        Self {
            direction,
            was_there: was.is_some(),
            was_empty: was.is_some_and(|was| !is_needed(before, was) && !is_rowid(before, was)),
            is_needed: is_needed(after, column),
            is_rowid: is_rowid(after, column),
            is_in_primary_key: is_in_primary_key(after, &column.name),
            is_keyed: is_keyed(to, after, &column.name),
            has_default: column.default.is_some(),
        }
    }
}

/// Decides the source of a column's values. In an up migration, only a default may replace a
/// missing value; in a down migration, a placeholder may too.
fn value_source(traits: ColumnTraits) -> ValueSource {
    let ColumnTraits {
        was_there,
        was_empty,
        is_needed,
        is_keyed,
        has_default,
        ..
    } = traits;
    let up = traits.direction == Direction::Up;
    if was_there {
        return match (is_needed && was_empty, up) {
            (true, true) if has_default => ValueSource::KeptOrDefault,
            // In the second case, SQLite rejects the run if a row has NULL.
            (false, _) | (true, true) => ValueSource::Kept,
            (true, false) if has_default && !is_keyed => ValueSource::KeptOrDefault,
            (true, false) => ValueSource::KeptOrPlaceholder,
        };
    }
    if traits.is_rowid {
        return ValueSource::RowNumber;
    }
    match (up, is_needed || traits.is_in_primary_key) {
        (true, _) if is_needed && !has_default => ValueSource::Refused,
        (false, true) if is_keyed || !has_default => ValueSource::Placeholder,
        // A shared default would violate the key; NULL does not.
        (false, false) if is_keyed && has_default => ValueSource::Null,
        _ => ValueSource::Default,
    }
}

/// Returns the expression that reads a column. SQLite stores an integral value of a virtual REAL
/// column as an integer when it is copied, unless a cast keeps it real.
fn read(before: &Table, was: &Column) -> String {
    let name = was.name.quoted();
    let virtually = was.generated.as_ref().is_some_and(|g| !g.stored);
    if virtually && affinity(before, was) == Affinity::Real {
        format!("iif(typeof({name}) = 'real', cast({name} as real), {name})")
    } else {
        name
    }
}

/// Returns the order in which the rows must be copied, if it matters. A row without a value for
/// the new rowid gets the next number, so it must come after the rows that have one.
pub(super) fn order(before: &Table, after: &Table) -> Option<String> {
    let is = after.rowid_alias()?;
    let was = before.column(&is.name)?;
    let numbered = !is_rowid(before, was) && !is_needed(before, was);
    numbered.then(|| {
        let (column, number) = (was.name.quoted(), number(before));
        format!("order by {column} is null, {number}")
    })
}

fn not_null_without_default(table: &Table, column: &Column) -> Error {
    Error::NotNullWithoutDefault {
        table: table.name.clone(),
        column: column.name.clone(),
    }
}

/// Returns one column to write, since an INSERT needs at least one.
fn any_column(after: &Table) -> Option<(String, String)> {
    let column = after.columns.iter().find(|c| c.generated.is_none())?;
    let value = default(column).unwrap_or_else(|| "null".to_owned());
    Some((column.name.quoted(), value))
}

/// Returns the rowids to copy, unless a column holds them.
fn rowid_of_both(before: &Table, after: &Table) -> Vec<(String, String)> {
    let (Some(old), Some(new)) = (hidden_rowid(before), hidden_rowid(after)) else {
        return Vec::new();
    };
    if before.rowid_alias().is_some() || after.rowid_alias().is_some() {
        return Vec::new();
    }
    vec![(new.to_owned(), old.to_owned())]
}

/// Returns a name of the rowid that no column has.
fn hidden_rowid(table: &Table) -> Option<&'static str> {
    let free = |name: &&&str| table.column(&Name::new(name)).is_none();
    let names = ["rowid", "_rowid_", "oid"];
    let name = names.iter().find(free).filter(|_| !table.without_rowid);
    name.copied()
}

/// Returns an expression that is unique to each row.
pub(crate) fn number(table: &Table) -> String {
    let by_key = || {
        let keys = table.primary_key.iter().flat_map(|key| &key.columns);
        let keys: Vec<_> = keys.map(|column| column.column().quoted()).collect();
        format!("row_number() over (order by {})", keys.join(", "))
    };
    hidden_rowid(table).map_or_else(by_key, str::to_owned)
}

/// Reports whether a column is an alias of the rowid.
pub(super) fn is_rowid(table: &Table, column: &Column) -> bool {
    table
        .rowid_alias()
        .is_some_and(|alias| alias.name == column.name)
}

/// Reports whether a column rejects NULL.
pub(crate) fn is_needed(table: &Table, column: &Column) -> bool {
    let by_key = (table.without_rowid || table.strict) && is_in_primary_key(table, &column.name);
    !is_rowid(table, column) && (column.not_null.is_some() || by_key)
}

fn is_in_primary_key(table: &Table, name: &Name) -> bool {
    let columns = table.primary_key.iter().flat_map(|key| &key.columns);
    columns.into_iter().any(|column| column.column() == *name)
}

/// Reports whether a unique key may cover the values of a column, or values computed from it.
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

/// Reports whether a unique key, or its condition, is computed from a column. Different values of
/// the column may then still be equal in the key.
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

/// Returns the default of a column, as an operand.
fn default(column: &Column) -> Option<String> {
    let default = column.default.as_ref()?;
    Some(match sql::tokens(default).len() {
        1 | 2 => default.clone(),
        _ => format!("({default})"),
    })
}

/// Returns a placeholder: an empty value or zero, or the row's number under a unique key.
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

/// Reports whether copying may change the values of a column.
pub(super) fn may_change(before: &Table, was: &Column, after: &Table, is: &Column) -> bool {
    let (from, to) = (affinity(before, was), affinity(after, is));
    let numbers = [Affinity::Integer, Affinity::Numeric];
    let same =
        from == to || to == Affinity::Blob || (numbers.contains(&from) && numbers.contains(&to));
    // A NULL becomes a number there.
    let numbered = is_rowid(after, is) && !is_rowid(before, was) && !is_needed(before, was);
    // The same expression gives the same values, stored or not.
    let expression = |column: &Column| column.generated.as_ref().map(|g| g.expression.clone());
    let computed = is.generated.is_some() && expression(is) != expression(was);
    !same || numbered || computed
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A new column of a rebuilt table in a down migration, without constraints.
    const NEW: ColumnTraits = ColumnTraits {
        direction: Direction::Down,
        was_there: false,
        was_empty: false,
        is_needed: false,
        is_rowid: false,
        is_in_primary_key: false,
        is_keyed: false,
        has_default: false,
    };

    fn needed(traits: ColumnTraits) -> ColumnTraits {
        ColumnTraits {
            is_needed: true,
            ..traits
        }
    }

    fn with_default(traits: ColumnTraits) -> ColumnTraits {
        ColumnTraits {
            has_default: true,
            ..traits
        }
    }

    fn keyed(traits: ColumnTraits) -> ColumnTraits {
        ColumnTraits {
            is_keyed: true,
            ..traits
        }
    }

    fn up(traits: ColumnTraits) -> ColumnTraits {
        ColumnTraits {
            direction: Direction::Up,
            ..traits
        }
    }

    #[test]
    fn values_come_from_the_column_its_default_or_a_placeholder() {
        let kept = ColumnTraits {
            was_there: true,
            was_empty: true,
            ..NEW
        };
        let full = ColumnTraits {
            was_empty: false,
            ..kept
        };
        let rowid = ColumnTraits {
            is_rowid: true,
            ..NEW
        };
        let key = ColumnTraits {
            is_in_primary_key: true,
            ..NEW
        };
        for (traits, expected) in [
            (kept, ValueSource::Kept),
            (up(kept), ValueSource::Kept),
            (needed(full), ValueSource::Kept),
            (needed(kept), ValueSource::KeptOrPlaceholder),
            (with_default(needed(kept)), ValueSource::KeptOrDefault),
            (
                keyed(with_default(needed(kept))),
                ValueSource::KeptOrPlaceholder,
            ),
            (up(needed(kept)), ValueSource::Kept),
            (
                up(keyed(with_default(needed(kept)))),
                ValueSource::KeptOrDefault,
            ),
            (rowid, ValueSource::RowNumber),
            (up(rowid), ValueSource::RowNumber),
            (NEW, ValueSource::Default),
            (keyed(NEW), ValueSource::Default),
            (keyed(with_default(NEW)), ValueSource::Null),
            (needed(NEW), ValueSource::Placeholder),
            (with_default(needed(NEW)), ValueSource::Default),
            (keyed(with_default(needed(NEW))), ValueSource::Placeholder),
            (key, ValueSource::Placeholder),
            (with_default(key), ValueSource::Default),
            (up(NEW), ValueSource::Default),
            (up(keyed(with_default(NEW))), ValueSource::Default),
            (up(needed(NEW)), ValueSource::Refused),
            (up(with_default(needed(NEW))), ValueSource::Default),
        ] {
            assert_eq!(value_source(traits), expected, "{traits:?}");
        }
    }
}
