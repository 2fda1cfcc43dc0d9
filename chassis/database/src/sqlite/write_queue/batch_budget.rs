//! How much is committed together.

/// How many rows are written together at the most, but for a write that has more by itself. They
/// share the pages that they change, of which there are hardly more for twice the rows; but all of
/// them are in memory at once, several times.
const MAX_BATCH_ROWS: usize = 6_400;

/// What there still is room for in a batch. Into an empty one goes whatever there is.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchBudget {
    writes: usize,
    rows: usize,
    empty: bool,
}

impl BatchBudget {
    /// No room at all.
    pub(super) const NONE: Self = Self {
        writes: 0,
        rows: 0,
        empty: false,
    };

    /// That of an empty batch of so many writes.
    pub(super) fn new(writes: usize) -> Self {
        Self {
            writes,
            rows: MAX_BATCH_ROWS,
            empty: true,
        }
    }

    /// Takes up the room for some writes, unless there is too little of it.
    pub(super) fn take(&mut self, writes: usize, rows: usize) -> bool {
        if !self.empty && (writes > self.writes || rows > self.rows) {
            return false;
        }
        *self = Self {
            writes: self.writes.saturating_sub(writes),
            rows: self.rows.saturating_sub(rows),
            empty: false,
        };
        true
    }
}
