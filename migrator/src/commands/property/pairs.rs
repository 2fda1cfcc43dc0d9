//! The tables and columns that both schemas have.

use std::collections::BTreeMap;

use crate::sql::name::Name;
use crate::sqlite::{
    planner::Renames,
    schema::{Schema, Table},
};

/// A table that both schemas have, with its common columns: old names by new ones.
pub(super) struct Pair<'a> {
    pub(super) before: &'a Table,
    pub(super) after: &'a Table,
    pub(super) columns: BTreeMap<Name, Name>,
}

pub(super) fn pairs<'a>(from: &'a Schema, to: &'a Schema, renames: &Renames) -> Vec<Pair<'a>> {
    let back = renames.inverse();
    let pair = |after: &'a Table| {
        let before = from
            .tables
            .get(back.table(&after.name).unwrap_or(&after.name))?;
        let old_names = back.columns_of(&after.name);
        let names = after.columns.iter().filter_map(|column| {
            let old = old_names.get(&column.name).unwrap_or(&column.name);
            before.column(old)?;
            Some((column.name.clone(), old.clone()))
        });
        Some(Pair {
            before,
            after,
            columns: names.collect(),
        })
    };
    to.tables.values().filter_map(pair).collect()
}
