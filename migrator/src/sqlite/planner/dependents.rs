//! What is around tables: indexes, views and triggers. Those that differ are made again,
//! and so are those in the way of a change: SQLite lets no table be renamed, and no column
//! be renamed or dropped, while a view or a trigger refers to what is not there.

use std::collections::BTreeSet;

use super::{Change, Planner, Step, script};
use crate::{
    sql,
    sqlite::schema::{Index, Name, Trigger, View},
};

/// What is dropped at first and made again at last.
pub(super) struct Around {
    indexes: BTreeSet<Name>,
    views: BTreeSet<Name>,
    triggers: BTreeSet<Name>,
}

/// A change to a table that a view or a trigger may be in the way of.
struct Obstacle<'a> {
    table: &'a Name,
    /// Only what names one of these; or, if it is `None`, all that names the table.
    columns: Option<Vec<&'a Name>>,
}

impl Obstacle<'_> {
    fn is_met_by(&self, body: &str) -> bool {
        let all = || sql::tokens(body).iter().any(|token| token.is_symbol("*"));
        let column = |columns: &Vec<&Name>| columns.iter().any(|column| column.is_in(body));
        self.table.is_in(body) && self.columns.as_ref().is_none_or(|c| all() || column(c))
    }
}

impl Around {
    pub(super) fn new(planner: &Planner<'_>) -> Self {
        let (from, to) = (planner.from, planner.to);
        let obstacles = obstacles(planner);
        let met = |body: &str| obstacles.iter().any(|obstacle| obstacle.is_met_by(body));

        let differs = |view: &&View| to.views.get(&view.name) != Some(*view) || met(&view.body);
        let views = from.views.values().filter(differs);
        let mut views: BTreeSet<_> = views.map(|view| view.name.clone()).collect();
        let checks_all = planner.checks_all();
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
                || met(&trigger.body)
                || views.contains(&trigger.table)
                || (checks_all && names_one())
        };
        let triggers = from.triggers.values().filter(differs);
        let triggers = triggers.map(|trigger| trigger.name.clone()).collect();

        let renamed = &planner.before;
        let differs = |index: &&Index| {
            let rebuilt = matches!(planner.changes.get(&index.table), Some(Change::Rebuild));
            to.indexes.get(&index.name) != Some(*index)
                || renamed.unsure_indexes.contains(&index.name)
                || rebuilt
        };
        let indexes = renamed.schema.indexes.values().filter(differs);
        let indexes = indexes.map(|index| index.name.clone()).collect();
        Self {
            indexes,
            views,
            triggers,
        }
    }

    /// The drops of what differs or is in the way. What vanishes with its table or view
    /// needs none.
    pub(super) fn away(&self, planner: &Planner<'_>) -> Vec<Step> {
        let (from, to) = (planner.from, planner.to);
        let gone: BTreeSet<_> = planner.gone_tables().map(|table| &table.name).collect();
        let mut away = Vec::new();
        let mut again = Vec::new();
        let mut drop = |kind: &str, name: &Name, for_good: bool| {
            let list = if for_good { &mut away } else { &mut again };
            list.push(format!("drop {kind} {}", name.quoted()));
        };
        for name in &self.triggers {
            let Some(trigger) = from.triggers.get(name) else {
                continue;
            };
            let vanishes = gone.contains(&trigger.table) || self.views.contains(&trigger.table);
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
                planner.before.schema.indexes.get(name),
            ) else {
                continue;
            };
            let after = to.indexes.get(name);
            let rebuilt = matches!(planner.changes.get(&renamed.table), Some(Change::Rebuild));
            let stays = after.is_some_and(|after| after.table == renamed.table);
            let unsure = planner.before.unsure_indexes.contains(name);
            if !(gone.contains(&index.table) || (rebuilt && stays && !unsure)) {
                drop("index", &index.name, after.is_none());
            }
        }
        let why = "-- In the way of what follows, or changed: made again below.";
        vec![
            Step::new(away),
            Step::new(again).because(vec![why.to_owned()]),
        ]
    }

    /// The new indexes of a table that is new or was made anew; or, for `None`, of all
    /// other tables.
    pub(super) fn indexes(&self, planner: &Planner<'_>, table: Option<&Name>) -> Vec<Step> {
        let before = &planner.before.schema;
        let is_made = |name: &Name| {
            let rebuilt = matches!(planner.changes.get(name), Some(Change::Rebuild));
            rebuilt || !before.tables.contains_key(name)
        };
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
                .because(script::remarks(&index.remark))
        };
        let indexes = planner.to.indexes.values();
        indexes.filter(missing).filter(here).map(step).collect()
    }

    /// The views and triggers that are missing.
    pub(super) fn again(&self, planner: &Planner<'_>) -> Vec<Step> {
        let (from, to) = (planner.from, planner.to);
        let mut steps = Vec::new();
        let missing =
            |view: &&View| !from.views.contains_key(&view.name) || self.views.contains(&view.name);
        for view in by_mention(to.views.values().filter(missing).collect()) {
            let step = Step::new(vec![script::declared("view", &view.sql)]);
            steps.push(step.because(script::remarks(&view.remark)));
        }
        let missing = |trigger: &&Trigger| {
            !from.triggers.contains_key(&trigger.name) || self.triggers.contains(&trigger.name)
        };
        for trigger in to.triggers.values().filter(missing) {
            let step = Step::new(vec![script::declared("trigger", &trigger.sql)]);
            steps.push(step.because(script::remarks(&trigger.remark)));
        }
        steps
    }
}

/// The tables that go, are renamed or made anew, and the columns that go or are renamed.
fn obstacles<'a>(planner: &'a Planner<'_>) -> Vec<Obstacle<'a>> {
    let mut obstacles = Vec::new();
    let whole = |table| Obstacle {
        table,
        columns: None,
    };
    if planner.checks_all() {
        obstacles.extend(planner.gone_tables().map(|table| whole(&table.name)));
    }
    for (old, new) in planner.renames.tables() {
        obstacles.extend([whole(old), whole(new)]);
    }
    for (table, old, new) in planner.renames.columns() {
        obstacles.push(Obstacle {
            table,
            columns: Some(vec![old, new]),
        });
    }
    for (table, change) in &planner.changes {
        match change {
            Change::Rebuild => obstacles.push(whole(table)),
            Change::InPlace { drop, .. } if !drop.is_empty() => obstacles.push(Obstacle {
                table,
                columns: Some(drop.iter().collect()),
            }),
            Change::None | Change::InPlace { .. } => {}
        }
    }
    obstacles
}

/// Views in an order in which each comes after those that it names.
fn by_mention(mut waiting: Vec<&View>) -> Vec<&View> {
    let mut sorted = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let names =
            |view: &View, other: &View| view.name != other.name && other.name.is_in(&view.body);
        let free = |view: &&View| !waiting.iter().any(|other| names(view, other));
        let at = waiting.iter().position(free).unwrap_or(0);
        sorted.push(waiting.remove(at));
    }
    sorted
}
