//! The order in which the owners get their migrations.

use std::collections::BTreeSet;

use crate::{
    project::Project, scratch::desired::DesiredSchema, sql::name::ObjectKind,
    sqlite::schema::Schema, state::owners::Owners,
};

impl Project {
    /// Returns the names of the owners in the order of the project, but each one after the owners
    /// whose tables it refers to. A table is dropped after the tables that referred to it.
    pub(super) fn migration_order(
        &self,
        newest: &Schema,
        owners: &Owners,
        declared: &DesiredSchema,
    ) -> Vec<&str> {
        let mut earlier = BTreeSet::new();
        for table in declared.schema.tables.values() {
            for key in &table.foreign_keys {
                let owner = |name| declared.owner(ObjectKind::Table, name);
                earlier.insert((owner(&key.table), owner(&table.name)));
            }
        }
        for table in newest.tables.values() {
            for key in &table.foreign_keys {
                if !declared.schema.tables.contains_key(&key.table) {
                    let owner = |folded| owners.owner(folded);
                    earlier.insert((owner(table.name.folded()), owner(key.table.folded())));
                }
            }
        }
        let mut open: Vec<_> = self.owners.iter().map(|owner| &*owner.name).collect();
        let mut order = Vec::with_capacity(open.len());
        while !open.is_empty() {
            let is_free = |owner: &&str| {
                let mut others = open.iter().filter(|other| *other != owner);
                !others.any(|other| earlier.contains(&(Some(*other), Some(*owner))))
            };
            // References in a circle have no order.
            let next = open.iter().position(is_free).unwrap_or(0);
            order.push(open.remove(next));
        }
        order
    }
}
