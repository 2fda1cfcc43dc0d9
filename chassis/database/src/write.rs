//! The vocabulary of a write: its atomicity within a shared transaction, and its failures.

/// The means by which a failed write is rolled back without the other writes of its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Atomicity {
    /// The write executes at most one statement, which rolls itself back if it fails. It is not
    /// rejected after that statement.
    SingleStatement,
    /// The write executes several statements, in a savepoint.
    Savepoint,
    /// The write is executed in a savepoint and then rolled back, since the caller only asks
    /// whether it would succeed (AIP-163).
    ValidateOnly,
}

/// The reason that a write failed. What it wrote is rolled back.
#[derive(Debug)]
pub enum WriteError<E> {
    /// The write was rejected, for a reason that its caller is told. The other writes of the
    /// transaction are not affected.
    Rejected(E),
    /// The database failed. The whole transaction may be rolled back.
    Database(sqlx::Error),
}

impl<E> From<sqlx::Error> for WriteError<E> {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl<E> WriteError<E> {
    /// Applies `change` to the reason of a rejection.
    #[must_use]
    pub fn map_rejection(self, change: impl FnOnce(E) -> E) -> Self {
        match self {
            Self::Rejected(rejection) => Self::Rejected(change(rejection)),
            Self::Database(error) => Self::Database(error),
        }
    }
}
