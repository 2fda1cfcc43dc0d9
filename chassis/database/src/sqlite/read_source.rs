//! Where rows are read.

use sqlx::{Sqlite, SqliteConnection, pool::PoolConnection};

use super::{Columns, Database, Parameter, Version, WrongType};

/// How many rows are few: a page of 100, and the one that tells whether there is another.
const FEW: usize = 101;

/// Where rows are read: a statement that is the same for all is given to
/// [`Source::read_directly`], and if that gives nothing, to the [`Source::connection`].
#[derive(Debug)]
pub enum Source<'a> {
    /// Few rows, by key: they are read in the thread of the caller, which blocks its other
    /// calls, or else on a connection for reading.
    ///
    /// The snapshot may have begun before the caller asked, but never before its call was
    /// received. So the rows may be sent in the response of the call, and may be cached only
    /// under their [`Version`].
    Few(&'a Database),
    /// Many rows, or an unknown number: on a connection for reading.
    Many(&'a Database),
    /// On a connection for reading, which is held.
    Reader(PoolConnection<Sqlite>),
    /// On this connection, in its transaction.
    Connection(&'a mut SqliteConnection),
}

impl Database {
    /// Where to read at most so many rows by key.
    #[must_use]
    pub fn source(&self, rows: usize) -> Source<'_> {
        if rows <= FEW {
            Source::Few(self)
        } else {
            Source::Many(self)
        }
    }
}

impl Source<'_> {
    /// What a statement finds, if it can be read in the thread of the caller. `statement` is
    /// one of those that sqlx recorded.
    pub fn read_directly<R>(
        &self,
        statement: &'static str,
        parameters: &[Parameter<'_>],
        row: impl FnMut(&mut Columns<'_>) -> Result<R, WrongType>,
    ) -> Option<Vec<R>> {
        match self {
            Self::Few(database) => database.direct.read(statement, parameters, row),
            Self::Many(_) | Self::Reader(_) | Self::Connection(_) => None,
        }
    }

    /// The state of the database that is read here, if it can be told in the thread of the
    /// caller. What is read after it may be kept for as long as there is the same.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        match self {
            Self::Few(database) => database.direct.version(),
            Self::Many(_) | Self::Reader(_) | Self::Connection(_) => None,
        }
    }

    /// The connection to read on.
    ///
    /// # Errors
    ///
    /// [`sqlx::Error::PoolTimedOut`] if none is free for as long as a read may wait, and
    /// [`sqlx::Error::PoolClosed`] after [`Lifecycle::close`](crate::Lifecycle::close).
    pub async fn connection(&mut self) -> Result<&mut SqliteConnection, sqlx::Error> {
        if let Self::Few(database) | Self::Many(database) = self {
            *self = Self::Reader(database.acquire().await?);
        }
        match self {
            Self::Reader(reader) => Ok(reader),
            Self::Connection(connection) => Ok(connection),
            Self::Few(_) | Self::Many(_) => Err(sqlx::Error::PoolClosed),
        }
    }
}

/// Reads the rows of a statement from a [`Source`]: in the thread of the caller if that is
/// possible, and else on a connection. The literals before the arguments are joined to the statement. `$row` has a
/// field for each column, and a function `read` that takes them from a [`Columns`].
#[macro_export]
macro_rules! select {
    ($source:expr, $row:path, $first:tt $(+ $more:tt)* $(, $argument:expr)* $(,)?) => {
        async {
            let source = $source;
            let inline = source.read_directly(
                concat!($first $(, $more)*),
                &[$($argument.into()),*],
                <$row>::read,
            );
            if let Some(rows) = inline {
                return Ok::<_, sqlx::Error>(rows);
            }
            let rows = sqlx::query_as!($row, $first $(+ $more)* $(, $argument)*);
            rows.fetch_all(source.connection().await?).await
        }
        .await
    };
}
