//! The columns whose values survive the round trip.

use std::collections::BTreeSet;

use sqlx::SqliteConnection;

use super::{data::values_of, pairs::Pair};
use crate::sql::{destructive_change::DestructiveChange, name::Name};
use crate::sqlite::{
    planner::{Plan, is_needed},
    schema::{Column, Table},
};

/// The columns whose values are equal before, after the up, and after the down migration.
pub(super) struct SurvivingColumns<'a> {
    pairs: Vec<(&'a Pair<'a>, Vec<Name>)>,
    /// True if these are all columns.
    pub(super) all: bool,
    /// True if the plans warn, or values changed in a way that may violate a key.
    pub(super) may_fail: bool,
}

impl<'a> SurvivingColumns<'a> {
    pub(super) fn new(pairs: &'a [Pair<'a>], up: &Plan, down: &Plan) -> Self {
        let losses: Vec<_> = up.losses().chain(down.losses()).collect();
        let changed: BTreeSet<_> = losses
            .iter()
            .filter_map(|loss| match loss {
                DestructiveChange::Values(table, column) => Some((table, column)),
                _ => None,
            })
            .collect();
        let steps = up.steps.iter().chain(&down.steps);
        let mut comments = steps.flat_map(|step| &step.comments);
        let warns = |comment: &String| {
            comment.starts_with("-- Placeholders") || comment.starts_with("-- Fails on rows")
        };
        let mut surviving = Self {
            pairs: Vec::new(),
            all: true,
            may_fail: !changed.is_empty() || comments.any(warns),
        };
        for pair in pairs {
            // A referenced table that was dropped comes back without rows.
            let has_parent = |name: &Name| pairs.iter().any(|pair| pair.before.name == *name);
            let mut keys = pair.before.foreign_keys.iter();
            surviving.may_fail |= keys.any(|key| !has_parent(&key.table));
            let mut names = Vec::new();
            for (new, old) in &pair.columns {
                let (was, is) = (
                    pair.before.column(old).unwrap(),
                    pair.after.column(new).unwrap(),
                );
                let needed = |table: &Table, column: &Column| is_needed(table, column);
                let nullability_changed = needed(pair.before, was) != needed(pair.after, is);
                let moved = changed.contains(&(&pair.after.name, new))
                    || changed.contains(&(&pair.before.name, old));
                let computed = was.generated.is_some() || is.generated.is_some();
                if moved || nullability_changed || computed {
                    surviving.all = false;
                } else {
                    names.push(new.clone());
                }
                surviving.may_fail |= nullability_changed;
            }
            surviving.all &= names.len() == pair.before.columns.len();
            // A column that was dropped and added again has lost its values.
            let back = |name: &Name| !pair.columns.values().any(|old| old == name);
            let lost = pair.before.columns.iter().filter(|c| back(&c.name));
            for column in lost {
                // A check, or the type of a generated column, may reject the new value.
                let checks = pair.before.checks.iter().map(|check| &check.expression);
                let columns = pair.before.columns.iter();
                let generated = columns.filter_map(|c| c.generated.as_ref());
                let computed = generated.map(|generated| &generated.expression);
                surviving.may_fail |= checks.chain(computed).any(|e| column.name.is_in(e));
            }
            surviving.pairs.push((pair, names));
        }
        surviving
    }

    pub(super) async fn read(
        &self,
        database: &mut SqliteConnection,
        table: impl Fn(&Pair<'a>) -> &'a Table,
        after: bool,
    ) -> Vec<Vec<String>> {
        let mut all = Vec::new();
        for (pair, names) in &self.pairs {
            let names: Vec<_> = names
                .iter()
                .map(|new| {
                    if after {
                        new.clone()
                    } else {
                        pair.columns[new].clone()
                    }
                })
                .collect();
            all.push(values_of(database, &table(pair).name, &names).await);
        }
        all
    }
}
