//! The errors of the database.

use std::{sync::Arc, time::Duration};

/// An error of the database: one variant for each reaction of a caller.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The write queue is full, or no read connection became free. A later retry may succeed.
    #[error("the database is overloaded")]
    Overloaded,
    /// Another process held the lock for longer than `LOCK_TIMEOUT`. A retry may succeed.
    #[error("the database is locked by another process")]
    Busy,
    /// The disk is full, or has less free space than `MIN_FREE_DISK_BYTES`. An operator must free
    /// space.
    #[error("the disk of the database is full")]
    DiskFull,
    /// The database was moved, removed or replaced while it is in use. A committed write may be in a
    /// file that is not at the path any more. An operator must act.
    #[error("the database was moved, removed or replaced while it is in use")]
    Replaced,
    /// The stored responses have reached `MAX_STORED_RESPONSE_BYTES`. A write without an idempotency
    /// key may succeed.
    #[error("the limit of stored responses is reached")]
    ResponsesFull {
        /// The time until the oldest response expires.
        retry_after: Duration,
    },
    /// This process is shutting down. A retry on another instance may succeed.
    #[error("the database is being closed")]
    ShuttingDown,
    /// The connection was lost during a COMMIT, which may have succeeded. SQLite does not return
    /// this error, since it commits in this process.
    #[error("the connection to the database was lost during a commit")]
    OutcomeUnknown,
    /// Any other error, which a caller cannot react to. The cause is shared, since a failed COMMIT
    /// fails every write of its transaction.
    #[error("the database failed")]
    Engine(#[source] Arc<sqlx::Error>),
}
