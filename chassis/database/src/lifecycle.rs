//! The lifecycle of a database in one process.

use std::future::Future;

use process::ExitError;
use tokio::sync::watch;

/// The lifecycle of a database of any engine, from the start of a process to its end.
pub trait Lifecycle: Send + Sync {
    /// Waits until the database has a version that the service works with, and then starts to
    /// execute writes. Nothing is read or written before.
    ///
    /// # Errors
    ///
    /// [`ExitError::TempFail`] if the database is not ready in time, and another error if waiting
    /// does not help.
    fn ready(&self) -> impl Future<Output = Result<(), ExitError>> + Send;

    /// Waits until the writer task panics, which is a bug. The process must end then, since it could
    /// no longer execute writes.
    fn writer_failed(&self) -> impl Future<Output = ExitError> + Send;

    /// Returns a channel with `false` while the database is not the one that was opened. Reads and
    /// writes then fail with [`Error::Replaced`](crate::Error::Replaced).
    fn available(&self) -> watch::Receiver<bool>;

    /// Executes the queued writes, and closes all connections. Later calls fail with
    /// [`Error::ShuttingDown`](crate::Error::ShuttingDown).
    fn close(&self) -> impl Future<Output = ()> + Send;
}
