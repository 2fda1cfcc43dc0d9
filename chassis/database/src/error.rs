//! Why the database did not do what it was asked for.

use std::sync::Arc;

/// One variant for each thing that a caller can do about it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Too much is asked of it at once: try again later.
    #[error("the database is overloaded")]
    Overloaded,
    /// Another process kept it locked for longer than a call waits: try again.
    #[error("the database is locked by another process")]
    Busy,
    /// Its disk is full, or nearly so: try again when somebody has made room.
    #[error("the disk of the database is full")]
    DiskFull,
    /// This process is about to end: try another.
    #[error("the database is being closed")]
    ShuttingDown,
    /// The database was lost during a COMMIT: the write is there, or it is not. SQLite never
    /// gives this, since it commits in this process.
    #[error("the database was lost while it committed")]
    OutcomeUnknown,
    /// It failed, and a caller can do nothing. A failed COMMIT is everybody's who had
    /// written in it, hence the shared cause.
    #[error("the database failed")]
    Engine(#[source] Arc<sqlx::Error>),
}
