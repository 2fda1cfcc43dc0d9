//! The executor of the streams of one HTTP/2 connection: one stream for each call.
//!
//! hyper would spawn a task for each stream, although most calls complete in their first poll. So
//! the task of the connection polls each new stream once, after it has read all available input,
//! and their responses leave in one write. Only streams that are still pending are spawned.

use std::{
    future::Future,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::Context,
};

use hyper::rt::Executor;
use process::burst;

type Stream = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The number of new streams that a connection polls before it yields to the other connections of
/// its runtime.
const TURN_STREAMS: usize = 32;

/// An executor that holds new streams until [`poll_new_streams`](Self::poll_new_streams). Clones
/// share them.
#[derive(Clone, Default)]
pub(crate) struct StreamExecutor(Arc<Mutex<Vec<Stream>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for StreamExecutor {
    fn execute(&self, stream: F) {
        self.pending().push(Box::pin(stream));
    }
}

impl StreamExecutor {
    /// Polls new streams once, and spawns those that are pending. Several streams may share a
    /// read snapshot, which [`burst`] tells the database.
    pub(crate) fn poll_new_streams(&self, cx: &mut Context<'_>) {
        let mut pending = mem::take(&mut *self.pending());
        if pending.len() > TURN_STREAMS {
            *self.pending() = pending.split_off(TURN_STREAMS);
            cx.waker().wake_by_ref();
        }
        match pending.len() {
            0 => {}
            1 => poll_first(pending, cx),
            _ => burst::run(|| poll_first(pending, cx)),
        }
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, Vec<Stream>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn poll_first(pending: Vec<Stream>, cx: &mut Context<'_>) {
    for mut stream in pending {
        // A panic ends only its stream, as it would in a spawned task.
        let step = catch_unwind(AssertUnwindSafe(|| stream.as_mut().poll(cx).is_pending()));
        if matches!(step, Ok(true)) {
            tokio::spawn(stream);
        }
    }
}
