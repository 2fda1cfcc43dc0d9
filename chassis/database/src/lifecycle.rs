//! The life of a database in one process.

use std::future::Future;

use process::ExitError;

/// A database, in any engine, from the start of a process to its end.
pub trait Lifecycle: Send + Sync {
    /// Waits until the database is at a version that the service works with, and begins to
    /// accept writes. Nothing is read or written before.
    ///
    /// # Errors
    ///
    /// [`ExitError::TempFail`] if the database is not ready in time, and the other failures if
    /// no wait helps.
    fn ready(&self) -> impl Future<Output = Result<(), ExitError>> + Send;

    /// Waits until the database can no longer be written although it is open, which is a bug:
    /// a process that went on would refuse all writes.
    fn writer_failed(&self) -> impl Future<Output = ExitError> + Send;

    /// Finishes the writes that are queued, and closes all connections. Later calls fail with
    /// [`Error::ShuttingDown`](crate::Error::ShuttingDown).
    fn close(&self) -> impl Future<Output = ()> + Send;
}
