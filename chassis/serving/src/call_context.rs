//! The call that is being handled, as what its handler calls can ask for it: its id, and how
//! much time it has left.
//!
//! It is known in the handler and in the stream that it answers with, but not in a task that
//! one of them spawned.

use std::{future::Future, time::Duration};

use tokio::time::Instant;
use tonic::metadata::MetadataValue;

use super::request_id::{HEADER, RequestId};

tokio::task_local! {
    static CURRENT: CallContext;
}

/// The context of a call while it is handled. Whatever else its code needs to know of it, such
/// as its caller, belongs here.
#[derive(Clone, Debug)]
pub(super) struct CallContext {
    pub(super) id: RequestId,
    /// The time at which the client stops waiting, or the server gives up.
    pub(super) deadline: Option<Instant>,
}

impl CallContext {
    /// Handles `call` as this one.
    pub(super) fn scope<F: Future>(self, call: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, call)
    }

    /// Does one step of this call's stream.
    pub(super) fn sync_scope<R>(&self, step: impl FnOnce() -> R) -> R {
        CURRENT.sync_scope(self.clone(), step)
    }
}

/// What `of` says of the call that is being handled, if there is one.
fn with_current<R>(of: impl FnOnce(&CallContext) -> R) -> Option<R> {
    CURRENT.try_with(of).ok()
}

/// The id of the call that is being handled, or `None` outside of one: it holds in the
/// handler and in the stream that it answers with, but not in a task that it spawned.
#[must_use]
pub fn request_id() -> Option<String> {
    with_current(|call| call.id.as_str().to_owned())
}

/// How much time is left for the call that is being handled: zero if none is, and `None` if
/// it may take as long as it likes. For calls to other services, which should end a little
/// earlier.
#[must_use]
pub fn remaining() -> Option<Duration> {
    let deadline = with_current(|call| call.deadline)??;
    Some(deadline.saturating_duration_since(Instant::now()))
}

/// Gives a call to another service the id of the call that is being handled, so that
/// both leave the same one in their logs.
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
    fn outside_of_a_call_there_is_no_request_id() {
        assert_eq!(request_id(), None);
    }
}
