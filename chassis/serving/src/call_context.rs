//! The context of the current call, in a task-local: its request id and its remaining time.
//!
//! It is available in the handler and in the stream that it returns, but not in tasks that they
//! spawn.

use std::{future::Future, time::Duration};

use tokio::time::Instant;
use tonic::metadata::MetadataValue;

use super::request_id::{HEADER, RequestId};

tokio::task_local! {
    static CURRENT: CallContext;
}

/// The context of a call. Other facts that handlers need, such as the identity of the caller, belong
/// here.
#[derive(Clone, Debug)]
pub(super) struct CallContext {
    pub(super) id: RequestId,
    /// The time at which the client stops waiting, or the server gives up.
    pub(super) deadline: Option<Instant>,
}

impl CallContext {
    /// Runs the future `call` with this context.
    pub(super) fn scope<F: Future>(self, call: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, call)
    }

    /// Runs one poll of the call's stream with this context.
    pub(super) fn sync_scope<R>(&self, step: impl FnOnce() -> R) -> R {
        CURRENT.sync_scope(self.clone(), step)
    }
}

/// Applies `read` to the context of the current call. Returns `None` outside of a call.
fn with_current<R>(read: impl FnOnce(&CallContext) -> R) -> Option<R> {
    CURRENT.try_with(read).ok()
}

/// Returns the request id of the current call, or `None` outside of a call.
#[must_use]
pub fn request_id() -> Option<String> {
    with_current(|call| call.id.as_str().to_owned())
}

/// Returns the time until the deadline of the current call, or `None` without a deadline. It is zero
/// once the deadline has passed. Calls to other services should use a shorter timeout.
#[must_use]
pub fn remaining() -> Option<Duration> {
    let deadline = with_current(|call| call.deadline)??;
    Some(deadline.saturating_duration_since(Instant::now()))
}

/// Adds the request id of the current call to a request to another service, so that the logs of both
/// services have the same id.
pub fn forward<T>(request: &mut tonic::Request<T>) {
    let value = request_id().and_then(|id| MetadataValue::try_from(id).ok());
    if let Some(value) = value {
        request.metadata_mut().insert(HEADER, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_request_id_outside_a_call() {
        assert_eq!(request_id(), None);
    }
}
