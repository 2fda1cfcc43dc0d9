//! The progress of long tasks, reported to a callback. Prints nothing.

use std::{fmt, sync::Arc};

/// A progress event of a long task. Each started task also finishes, unless it fails. Two tasks
/// may run concurrently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressEvent {
    /// The task starts.
    Started {
        /// The name of the task, for display.
        what: &'static str,
        /// The total amount of work in a unit of the task, such as bytes or pages; 0 if unknown.
        total: u64,
    },
    /// The task made progress.
    Advanced {
        /// The name of the task.
        what: &'static str,
        /// The amount of finished work, in the unit of the total. An estimate may miss the total.
        done: u64,
    },
    /// The task is done.
    Finished {
        /// The name of the task.
        what: &'static str,
    },
}

/// The callback for progress events. Clones share it.
#[derive(Clone)]
pub struct Progress(Arc<dyn Fn(ProgressEvent) + Send + Sync>);

impl Progress {
    /// Calls `callback` for each event, on the thread of the task. The callback must not block.
    pub fn new(callback: impl Fn(ProgressEvent) + Send + Sync + 'static) -> Self {
        Self(Arc::new(callback))
    }

    /// Returns a callback that ignores all events.
    #[must_use]
    pub fn noop() -> Self {
        Self::new(|_| ())
    }

    /// Starts a task.
    pub(crate) fn start(&self, what: &'static str, total: u64) -> Task {
        (self.0)(ProgressEvent::Started { what, total });
        Task {
            what,
            progress: self.clone(),
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Progress")
    }
}

/// A running task.
#[derive(Debug)]
pub(crate) struct Task {
    what: &'static str,
    progress: Progress,
}

impl Task {
    pub(crate) fn advance(&self, done: u64) {
        let what = self.what;
        (self.progress.0)(ProgressEvent::Advanced { what, done });
    }

    pub(crate) fn finish(self) {
        let what = self.what;
        (self.progress.0)(ProgressEvent::Finished { what });
    }
}
