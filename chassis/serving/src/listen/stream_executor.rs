//! The streams of one HTTP/2 connection: each is one call.
//!
//! A task for each of them would be made, queued and woken for calls that mostly have their
//! answer at once. So the task of the connection takes the first step of each itself, once it
//! has read what there was to read, and all their answers leave together; only a call that has
//! to wait gets a task of its own.

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

/// An executor that keeps new streams until they are polled. Copies share them.
#[derive(Clone, Default)]
pub(crate) struct StreamExecutor(Arc<Mutex<Vec<Stream>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for StreamExecutor {
    fn execute(&self, stream: F) {
        self.pending().push(Box::pin(stream));
    }
}

impl StreamExecutor {
    /// Polls each new stream once, and spawns those that have to wait.
    pub(crate) fn poll_new_streams(&self, cx: &mut Context<'_>) {
        let pending = mem::take(&mut *self.pending());
        match pending.len() {
            0 => {}
            1 => poll_first(pending, cx),
            _ => burst::together(|| poll_first(pending, cx)),
        }
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, Vec<Stream>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn poll_first(pending: Vec<Stream>, cx: &mut Context<'_>) {
    for mut stream in pending {
        // A stream that panics is lost, as it would be in a task of its own.
        let step = catch_unwind(AssertUnwindSafe(|| stream.as_mut().poll(cx).is_pending()));
        if matches!(step, Ok(true)) {
            tokio::spawn(stream);
        }
    }
}
