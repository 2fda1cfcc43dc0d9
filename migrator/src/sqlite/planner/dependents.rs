//! The objects that depend on tables: indexes, views and triggers. They are dropped and recreated
//! if they change or block a change. SQLite rejects a rename or a DROP COLUMN while any view or
//! trigger refers to a missing object.

use std::collections::BTreeSet;

use super::{
    plan::Step,
    script,
    table_change::TableChange,
    transition::{Transition, sorted},
};
use crate::{
    sql::{self, name::Name},
    sqlite::schema::{Index, Trigger, View},
};

/// The objects that are dropped first and recreated last.
pub(super) struct DependentObjects {
    indexes: BTreeSet<Name>,
    views: BTreeSet<Name>,
    triggers: BTreeSet<Name>,
}

/// A change to a table, which views and triggers may block.
struct Blocker<'a> {
    table: &'a Name,
    /// The columns that a blocking body names; `None` if each body that names the table blocks.
    columns: Option<Vec<&'a Name>>,
}

impl Blocker<'_> {
    fn blocks(&self, body: &str) -> bool {
        let all = || sql::tokens(body).iter().any(|token| token.is_symbol("*"));
        let column = |columns: &Vec<&Name>| columns.iter().any(|column| column.is_in(body));
        self.table.is_in(body) && self.columns.as_ref().is_none_or(|c| all() || column(c))
    }
}

impl DependentObjects {
    pub(super) fn new(transition: &Transition<'_>) -> Self {
        let (from, to) = (transition.from, transition.to);
        let blockers = blockers(transition);
        let is_blocked = |body: &str| blockers.iter().any(|blocker| blocker.blocks(body));

        let differs =
            |view: &&View| to.views.get(&view.name) != Some(*view) || is_blocked(&view.body);
        let views = from.views.values().filter(differs);
        let mut views: BTreeSet<_> = views.map(|view| view.name.clone()).collect();
        let checks_all = transition.checks_all();
        loop {
            let names_one = |view: &&View| views.iter().any(|name| name.is_in(&view.body));
            let more = from
                .views
                .values()
                .filter(|view| !views.contains(&view.name));
            let more: Vec<_> = more.filter(names_one).map(|v| v.name.clone()).collect();
            if more.is_empty() || !checks_all {
                break;
            }
            views.extend(more);
        }
        let differs = |trigger: &&Trigger| {
            let names_one = || views.iter().any(|name| name.is_in(&trigger.body));
            to.triggers.get(&trigger.name) != Some(*trigger)
                || is_blocked(&trigger.body)
                || views.contains(&trigger.table)
                || (checks_all && names_one())
        };
        let triggers = from.triggers.values().filter(differs);
        let triggers = triggers.map(|trigger| trigger.name.clone()).collect();

        let renamed = &transition.before;
        let differs = |index: &&Index| {
            to.indexes.get(&index.name) != Some(*index)
                || renamed.unsure_indexes.contains(&index.name)
                || transition.is_rebuilt(&index.table)
        };
        let indexes = renamed.schema.indexes.values().filter(differs);
        let indexes = indexes.map(|index| index.name.clone()).collect();
        Self {
            indexes,
            views,
            triggers,
        }
    }

    /// Returns the drops of changed or blocking objects. SQLite itself drops those of a dropped
    /// table or view.
    pub(super) fn drops(&self, transition: &Transition<'_>) -> Vec<Step> {
        let (from, to) = (transition.from, transition.to);
        let gone: BTreeSet<_> = transition.gone_tables().map(|table| &table.name).collect();
        let mut dropped = Vec::new();
        let mut recreated = Vec::new();
        let mut drop = |kind: &str, name: &Name, for_good: bool| {
            let list = if for_good {
                &mut dropped
            } else {
                &mut recreated
            };
            list.push(format!("drop {kind} {}", name.quoted()));
        };
        for name in &self.triggers {
            let Some(trigger) = from.triggers.get(name) else {
                continue;
            };
            // A view that is recreated would lose the trigger without a statement that says so.
            let is_gone = !to.triggers.contains_key(name) && to.views.contains_key(&trigger.table);
            let vanishes =
                gone.contains(&trigger.table) || (self.views.contains(&trigger.table) && !is_gone);
            if !vanishes {
                drop("trigger", &trigger.name, !to.triggers.contains_key(name));
            }
        }
        for name in &self.views {
            if let Some(view) = from.views.get(name) {
                drop("view", &view.name, !to.views.contains_key(name));
            }
        }
        for name in &self.indexes {
            let (Some(index), Some(renamed)) = (
                from.indexes.get(name),
                transition.before.schema.indexes.get(name),
            ) else {
                continue;
            };
            let after = to.indexes.get(name);
            let rebuilt = transition.is_rebuilt(&renamed.table);
            let stays = after.is_some_and(|after| after.table == renamed.table);
            let unsure = transition.before.unsure_indexes.contains(name);
            if !(gone.contains(&index.table) || (rebuilt && stays && !unsure)) {
                drop("index", &index.name, after.is_none());
            }
        }
        let comment = "-- Blocks a later step, or changes: recreated below.";
        vec![
            Step::new(dropped),
            Step::new(recreated).with_comments(vec![comment.to_owned()]),
        ]
    }

    /// Returns the new indexes of `table`, which is new or rebuilt. For `None`, it returns those
    /// of all other tables.
    pub(super) fn indexes(&self, transition: &Transition<'_>, table: Option<&Name>) -> Vec<Step> {
        let before = &transition.before.schema;
        let is_made =
            |name: &Name| transition.is_rebuilt(name) || !before.tables.contains_key(name);
        let missing = |index: &&Index| {
            let there = before.indexes.contains_key(&index.name);
            !there || self.indexes.contains(&index.name)
        };
        let here = |index: &&Index| match table {
            Some(table) => index.table == *table,
            None => !is_made(&index.table),
        };
        let step = |index: &Index| {
            Step::new(vec![script::declared("index", &index.sql)])
                .with_comments(script::comments(&index.directives))
        };
        let indexes = transition.to.indexes.values();
        indexes.filter(missing).filter(here).map(step).collect()
    }

    /// Returns the missing views and triggers.
    pub(super) fn recreates(&self, transition: &Transition<'_>) -> Vec<Step> {
        let (from, to) = (transition.from, transition.to);
        let mut steps = Vec::new();
        let missing =
            |view: &&View| !from.views.contains_key(&view.name) || self.views.contains(&view.name);
        let views = to.views.values().filter(missing).collect();
        let names =
            |view: &View, other: &View| view.name != other.name && other.name.is_in(&view.body);
        for view in sorted(views, names) {
            let step = Step::new(vec![script::declared("view", &view.sql)]);
            steps.push(step.with_comments(script::comments(&view.directives)));
        }
        let missing = |trigger: &&Trigger| {
            !from.triggers.contains_key(&trigger.name) || self.triggers.contains(&trigger.name)
        };
        for trigger in to.triggers.values().filter(missing) {
            let step = Step::new(vec![script::declared("trigger", &trigger.sql)]);
            steps.push(step.with_comments(script::comments(&trigger.directives)));
        }
        steps
    }
}

/// Returns the dropped, renamed and rebuilt tables, and the dropped and renamed columns.
fn blockers<'a>(transition: &'a Transition<'_>) -> Vec<Blocker<'a>> {
    let mut blockers = Vec::new();
    let whole = |table| Blocker {
        table,
        columns: None,
    };
    if transition.checks_all() {
        blockers.extend(transition.gone_tables().map(|table| whole(&table.name)));
    }
    for (old, new) in transition.renames.tables() {
        blockers.extend([whole(old), whole(new)]);
    }
    for (table, old, new) in transition.renames.columns() {
        blockers.push(Blocker {
            table,
            columns: Some(vec![old, new]),
        });
    }
    for (table, change) in &transition.changes {
        match change {
            TableChange::Rebuild => blockers.push(whole(table)),
            TableChange::InPlace { drop, .. } if !drop.is_empty() => blockers.push(Blocker {
                table,
                columns: Some(drop.iter().collect()),
            }),
            TableChange::None | TableChange::InPlace { .. } => {}
        }
    }
    blockers
}
