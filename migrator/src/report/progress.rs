//! How far long work is, told to whoever shows it. It prints nothing.

use std::{fmt, sync::Arc};

/// What there is to say of a piece of long work. Each that begins also ends, if it does not
/// fail; two may go on at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressEvent {
    /// It begins.
    Began {
        /// What it is, in a word or two for people.
        what: &'static str,
        /// How much there is to do, in a unit of its own: bytes, pages; 0 if that cannot be
        /// known.
        total: u64,
    },
    /// So much of it is done.
    Advanced {
        /// What it is.
        what: &'static str,
        /// In the unit of the total. An estimate may end a little before or after it.
        done: u64,
    },
    /// It is done.
    Ended {
        /// What it is.
        what: &'static str,
    },
}

/// Who wants to know. Copies of it tell the same one.
#[derive(Clone)]
pub struct Progress(Arc<dyn Fn(ProgressEvent) + Send + Sync>);

impl Progress {
    /// Calls `tell` for each event, from whichever thread does the work; it should return
    /// at once.
    pub fn new(tell: impl Fn(ProgressEvent) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// Nobody wants to know.
    #[must_use]
    pub fn noop() -> Self {
        Self::new(|_| ())
    }

    /// A piece of work begins.
    pub(crate) fn begin(&self, what: &'static str, total: u64) -> Task {
        (self.0)(ProgressEvent::Began { what, total });
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

/// A piece of work that goes on.
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

    pub(crate) fn end(self) {
        let what = self.what;
        (self.progress.0)(ProgressEvent::Ended { what });
    }
}
