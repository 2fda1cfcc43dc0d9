//! Finds new unique keys that existing rows cannot satisfy, since they would share the default.

use super::{error::Error, transition::Transition};
use crate::{
    project::migrations::Direction,
    sql::{self, name::Name},
    sqlite::schema::{Column, KeyColumn, Table},
};

/// Rejects an up migration that gives all rows of a table the same value in a unique key.
pub(super) fn reject(transition: &Transition<'_>) -> Result<(), Error> {
    if transition.direction == Direction::Down {
        return Ok(());
    }
    for (name, before) in &transition.before.schema.tables {
        let Some(after) = transition.to.tables.get(name) else {
            continue;
        };
        let keys = after.primary_key.iter().chain(&after.uniques);
        let keys = keys.map(|key| key.columns.as_slice());
        let indexes = transition.to.indexes.values();
        // A partial index may leave out the rows.
        let indexes = indexes
            .filter(|index| index.unique && index.table == *name && index.condition.is_none());
        for key in keys.chain(indexes.map(|index| index.columns.as_slice())) {
            if let Some(column) = shared(before, after, key) {
                return Err(Error::SharedDefault {
                    table: after.name.clone(),
                    column,
                });
            }
        }
    }
    Ok(())
}

/// Returns a column of a key whose columns all have one value in all rows.
fn shared(before: &Table, after: &Table, key: &[KeyColumn]) -> Option<Name> {
    let mut columns = Vec::new();
    for part in key {
        let column = part.column();
        let named = after
            .columns
            .iter()
            .filter(|candidate| candidate.name == column || candidate.name.is_in(&part.expression));
        for column in named {
            if before.column(&column.name).is_some() || !has_shared_default(after, column) {
                return None;
            }
            columns.push(column.name.clone());
        }
    }
    columns.into_iter().next()
}

/// Reports whether all existing rows get the same value that is not NULL in a new column.
fn has_shared_default(table: &Table, column: &Column) -> bool {
    let is_numbered = table
        .rowid_alias()
        .is_some_and(|alias| alias.name == column.name);
    let is_random = |default: &String| {
        let tokens = sql::tokens(default);
        tokens.iter().any(|t| t.is("random") || t.is("randomblob"))
    };
    let default = column.default.as_ref();
    !is_numbered && column.generated.is_none() && default.is_some_and(|default| !is_random(default))
}
