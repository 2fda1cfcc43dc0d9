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

/// Streams that have been opened, and not begun. Copies of it share them.
#[derive(Clone, Default)]
pub(crate) struct Streams(Arc<Mutex<Vec<Stream>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        self.opened().push(Box::pin(stream));
    }
}

impl Streams {
    /// Begins all that have been opened.
    pub(crate) fn begin(&self, cx: &mut Context<'_>) {
        let opened = mem::take(&mut *self.opened());
        match opened.len() {
            0 => {}
            1 => begin(opened, cx),
            _ => burst::together(|| begin(opened, cx)),
        }
    }

    fn opened(&self) -> std::sync::MutexGuard<'_, Vec<Stream>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn begin(opened: Vec<Stream>, cx: &mut Context<'_>) {
    for mut stream in opened {
        // A stream that panics is lost, as it would be in a task of its own.
        let step = catch_unwind(AssertUnwindSafe(|| stream.as_mut().poll(cx).is_pending()));
        if matches!(step, Ok(true)) {
            tokio::spawn(stream);
        }
    }
}
