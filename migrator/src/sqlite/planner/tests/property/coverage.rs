//! Counts how far the cases get: a test whose cases all fail early proves nothing.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::sqlite::planner::Plan;

/// The numbers of cases by their outcome.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    pub(super) refused: AtomicU32,
    pub(super) failed: AtomicU32,
    pub(super) up: AtomicU32,
    pub(super) down: AtomicU32,
    pub(super) up_again: AtomicU32,
    /// The number of plans with a rename.
    pub(super) renames: AtomicU32,
    pub(super) rebuilds: AtomicU32,
    pub(super) in_place: AtomicU32,
    pub(super) sequences: AtomicU32,
    pub(super) with_rows: AtomicU32,
}

impl Coverage {
    pub(super) fn count(counter: &AtomicU32) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_plan(&self, up: &Plan) {
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
    }
}
