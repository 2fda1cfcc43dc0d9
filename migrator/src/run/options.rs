//! What a run can be told.

use super::data_loss::DataLoss;
use crate::{error::run::RunError, project::migrations::Direction};

/// What a run is to do.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Whether it applies migrations or reverts them.
    pub direction: Direction,
    /// The migration to stop after, instead of the newest, or of the last but one in a
    /// downgrade; 0 reverts all.
    pub to: Option<i64>,
    /// Whether a downgrade goes on if something is lost by it.
    pub allow_data_loss: bool,
    /// Whether to undo all of it at the end.
    pub dry_run: bool,
    /// Whether to make no backup before the first step.
    pub no_backup: bool,
}

impl Run {
    const fn new(direction: Direction, to: Option<i64>) -> Self {
        Self {
            direction,
            to,
            allow_data_loss: false,
            dry_run: false,
            no_backup: false,
        }
    }

    /// Up to the newest version.
    #[must_use]
    pub const fn upgrade() -> Self {
        Self::new(Direction::Up, None)
    }

    /// Up to that version.
    #[must_use]
    pub const fn upgrade_to(version: i64) -> Self {
        Self::new(Direction::Up, Some(version))
    }

    /// One version down.
    #[must_use]
    pub const fn downgrade() -> Self {
        Self::new(Direction::Down, None)
    }

    /// Down to that version.
    #[must_use]
    pub const fn downgrade_to(version: i64) -> Self {
        Self::new(Direction::Down, Some(version))
    }

    pub(crate) fn is_downgrade(self) -> bool {
        self.direction == Direction::Down
    }

    /// Refuses to lose something, unless it is allowed.
    pub(super) fn refuse_loss(self, losses: &[DataLoss]) -> Result<(), RunError> {
        if self.allow_data_loss || losses.is_empty() {
            return Ok(());
        }
        Err(RunError::DataLoss {
            losses: losses.to_vec(),
        })
    }
}
