//! A plan: ordered statements, with comments for its reviewer.

use crate::sql::destructive_change::DestructiveChange;

/// The steps of a migration, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// The comments at the top of the script.
    pub(crate) head: Vec<String>,
    pub(crate) steps: Vec<Step>,
}

/// Statements that belong together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Step {
    /// The comments before the statements.
    pub(crate) comments: Vec<String>,
    /// The data that the statements destroy.
    pub(crate) losses: Vec<DestructiveChange>,
    /// The statements, without semicolons.
    pub(crate) statements: Vec<String>,
}

impl Step {
    pub(super) fn new(statements: Vec<String>) -> Self {
        Self {
            statements,
            ..Self::default()
        }
    }

    pub(super) fn with_comments(mut self, comments: Vec<String>) -> Self {
        self.comments = comments;
        self
    }

    pub(super) fn with_losses(mut self, losses: Vec<DestructiveChange>) -> Self {
        self.losses = losses;
        self
    }
}

impl Plan {
    /// Returns all data that the plan destroys.
    pub(crate) fn losses(&self) -> impl Iterator<Item = &DestructiveChange> {
        self.steps.iter().flat_map(|step| &step.losses)
    }
}
