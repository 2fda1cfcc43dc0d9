//! The vocabulary of a write: how far it reaches, and why it ends early.

/// How much a piece of work can leave half done, and whether any of it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// It writes by one statement at the most, which a failure undoes by itself, and is
    /// never refused after it.
    Statement,
    /// It writes by several: it gets a savepoint of its own.
    Savepoint,
    /// All of it is done, and then undone: whoever asks wants to know whether it could be.
    Trial,
}

/// Why a piece of work ended early.
#[derive(Debug)]
pub enum Stop<E> {
    /// It was refused: what it wrote is undone, and the caller is told why. Others in the
    /// same transaction are not touched.
    Refused(E),
    /// The engine failed: what it wrote is undone, and perhaps the whole transaction.
    Engine(sqlx::Error),
}

impl<E> From<sqlx::Error> for Stop<E> {
    fn from(error: sqlx::Error) -> Self {
        Self::Engine(error)
    }
}

impl<E> Stop<E> {
    /// The same, with what the caller is told of a refusal changed.
    #[must_use]
    pub fn map_refusal(self, change: impl FnOnce(E) -> E) -> Self {
        match self {
            Self::Refused(refusal) => Self::Refused(change(refusal)),
            Self::Engine(error) => Self::Engine(error),
        }
    }
}
