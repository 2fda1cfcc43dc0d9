//! What a plan is: statements in an order, with what a reader has to know of them.

use crate::sql::destructive_change::DestructiveChange;

/// What to run, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// What a reader has to know first, as comments.
    pub(crate) head: Vec<String>,
    pub(crate) steps: Vec<Step>,
}

/// Statements that belong together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Step {
    /// Why, as comments.
    pub(crate) comments: Vec<String>,
    /// The data that is gone after it.
    pub(crate) losses: Vec<DestructiveChange>,
    /// Without semicolons.
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
    /// All the data that it destroys.
    pub(crate) fn losses(&self) -> impl Iterator<Item = &DestructiveChange> {
        self.steps.iter().flat_map(|step| &step.losses)
    }
}
