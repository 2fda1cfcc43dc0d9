//! The options of a run.

use super::data_loss::DataLoss;
use crate::{error::run::RunError, project::migrations::Direction};

/// The options of a run.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Applies migrations, or reverts them.
    pub direction: Direction,
    /// The target version. By default the newest, or in a downgrade the previous one; 0 reverts
    /// all.
    pub to: Option<i64>,
    /// Accepts that a downgrade loses data.
    pub allow_data_loss: bool,
    /// Rolls back at the end.
    pub dry_run: bool,
    /// Skips the backup.
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

    /// Returns an upgrade to the newest version.
    #[must_use]
    pub const fn upgrade() -> Self {
        Self::new(Direction::Up, None)
    }

    /// Returns an upgrade to `version`.
    #[must_use]
    pub const fn upgrade_to(version: i64) -> Self {
        Self::new(Direction::Up, Some(version))
    }

    /// Returns a downgrade to the previous version.
    #[must_use]
    pub const fn downgrade() -> Self {
        Self::new(Direction::Down, None)
    }

    /// Returns a downgrade to `version`.
    #[must_use]
    pub const fn downgrade_to(version: i64) -> Self {
        Self::new(Direction::Down, Some(version))
    }

    pub(crate) fn is_downgrade(self) -> bool {
        self.direction == Direction::Down
    }

    /// Refuses losses, unless the caller allows them.
    pub(super) fn refuse_loss(self, losses: &[DataLoss]) -> Result<(), RunError> {
        if self.allow_data_loss || losses.is_empty() {
            return Ok(());
        }
        Err(RunError::DataLoss {
            losses: losses.to_vec(),
        })
    }
}
