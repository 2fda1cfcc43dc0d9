//! The call that is being handled, as what its handler calls can ask for it: its id, and how
//! much time it has left.
//!
//! It is known in the handler and in the stream that it answers with, but not in a task that
//! one of them spawned.

use std::future::Future;

use super::{deadline::Deadline, request_id::RequestId};

tokio::task_local! {
    static CURRENT: Current;
}

/// What is known of a call.
#[derive(Clone, Debug)]
pub(super) struct Current {
    pub(super) id: RequestId,
    pub(super) deadline: Option<Deadline>,
}

impl Current {
    /// Handles `call` as this one.
    pub(super) fn scope<F: Future>(self, call: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, call)
    }

    /// Does one step of this call's stream.
    pub(super) fn step<R>(&self, step: impl FnOnce() -> R) -> R {
        CURRENT.sync_scope(self.clone(), step)
    }
}

/// What `of` says of the call that is being handled, if there is one.
pub(super) fn current<R>(of: impl FnOnce(&Current) -> R) -> Option<R> {
    CURRENT.try_with(of).ok()
}
