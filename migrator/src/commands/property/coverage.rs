//! Counts what the cases contain and how far they get: a test whose cases all fail early, or
//! change no trigger, proves nothing.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::sqlite::{planner::Plan, schema::Schema};

/// The numbers of cases by their content and their outcome.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    /// A schema that cannot be used.
    pub(super) unusable: AtomicU32,
    /// A change that no plan can make.
    pub(super) refused: AtomicU32,
    /// An upgrade that rows made fail.
    pub(super) failed: AtomicU32,
    pub(super) up: AtomicU32,
    pub(super) down: AtomicU32,
    pub(super) up_again: AtomicU32,
    pub(super) with_rows: AtomicU32,
    /// The number of writes that succeeded.
    pub(super) writes: AtomicU32,
    renames: AtomicU32,
    rebuilds: AtomicU32,
    in_place: AtomicU32,
    sequences: AtomicU32,
    /// A kept trigger, view or index that a change to a table drops and recreates.
    triggers: AtomicU32,
    views: AtomicU32,
    indexes: AtomicU32,
    /// A trigger on a view.
    instead_of: AtomicU32,
}

impl Coverage {
    pub(super) fn count(counter: &AtomicU32) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_plan(&self, up: &Plan, from: &Schema, to: &Schema) {
        let script = up.script();
        for (counter, text) in [
            (&self.renames, " rename column "),
            (&self.rebuilds, "json("),
            (&self.in_place, " add column "),
            (&self.sequences, "sqlite_sequence"),
        ] {
            if script.contains(text) {
                Self::count(counter);
            }
        }
        let has = |text: &str| script.contains(text);
        let mut triggers = from.triggers.keys();
        let mut views = from.views.keys();
        let mut indexes = from.indexes.keys();
        let triggers = triggers.any(|name| to.triggers.contains_key(name));
        let views = views.any(|name| to.views.contains_key(name));
        let indexes = indexes.any(|name| to.indexes.contains_key(name));
        for (counter, counts) in [
            (&self.triggers, has("create trigger") && triggers),
            (&self.views, has("create view") && views),
            (&self.indexes, has("create ") && has("index") && indexes),
            (
                &self.instead_of,
                to.triggers
                    .values()
                    .any(|t| to.views.contains_key(&t.table)),
            ),
        ] {
            if counts {
                Self::count(counter);
            }
        }
    }

    /// Checks that the cases contain enough of everything.
    pub(super) fn assert(&self, cases: u32, related: bool) {
        let share = |counter: &AtomicU32| counter.load(Ordering::Relaxed) * 100 / cases;
        let enough = [
            (&self.up_again, 70, 55),
            (&self.with_rows, 50, 5),
            (&self.writes, 300, 250),
            (&self.rebuilds, 30, 10),
            (&self.triggers, 15, 4),
            (&self.views, 8, 2),
            (&self.indexes, 8, 3),
            (&self.renames, 8, 0),
            (&self.in_place, 4, 0),
            (&self.sequences, 2, 0),
            (&self.instead_of, 1, 1),
        ];
        for (counter, least, least_of_any) in enough {
            let least = if related { least } else { least_of_any };
            assert!(share(counter) >= least, "less than {least} %: {self:?}");
        }
        for (counter, most, most_of_any) in [(&self.refused, 5, 30), (&self.unusable, 2, 4)] {
            let most = if related { most } else { most_of_any };
            assert!(share(counter) <= most, "more than {most} %: {self:?}");
        }
    }
}
