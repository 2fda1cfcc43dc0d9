//! The limits on the size of one transaction.

/// The maximum number of rows in one transaction, except for a single write with more rows. Twice
/// as many rows change hardly more pages, but the process holds all rows in memory, several times.
const MAX_BATCH_ROWS: usize = 6_400;

/// The writes and rows that a batch can still take. An empty batch takes any first write, whatever
/// its size.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchBudget {
    writes: usize,
    rows: usize,
    empty: bool,
}

impl BatchBudget {
    /// The budget of a closed batch.
    pub(super) const NONE: Self = Self {
        writes: 0,
        rows: 0,
        empty: false,
    };

    /// Returns the budget of an empty batch.
    pub(super) fn new(max_writes: usize) -> Self {
        Self {
            writes: max_writes,
            rows: MAX_BATCH_ROWS,
            empty: true,
        }
    }

    /// Deducts writes and rows. Returns `false`, and deducts nothing, if the rest is too small.
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
