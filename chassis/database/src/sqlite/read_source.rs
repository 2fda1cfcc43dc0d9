//! Where rows are read.

use sqlx::{Sqlite, SqliteConnection, pool::PoolConnection};

use super::{DataVersion, Database, Parameter, RowCursor, WrongType};

/// How many rows are few: a page of 100, and the one that tells whether there is another.
const MAX_INLINE_ROWS: usize = 101;

/// Where rows are read: a statement that is the same for all is given to
/// [`ReadSource::try_read_inline`], and if that gives nothing, to the [`ReadSource::connection`].
#[derive(Debug)]
pub enum ReadSource<'a> {
    /// Few rows, by key: they are read in the thread of the caller, which blocks its other
    /// calls, or else on a connection for reading.
    ///
    /// The snapshot may have begun before the caller asked, but never before its call was
    /// received. So the rows may be sent in the response of the call, and may be cached only
    /// under their [`DataVersion`].
    Inline(&'a Database),
    /// Many rows, or an unknown number: on a connection for reading.
    Pool(&'a Database),
    /// On a connection for reading, which is held.
    Pooled(PoolConnection<Sqlite>),
    /// On this connection, in its transaction.
    Transaction(&'a mut SqliteConnection),
}

impl Database {
    /// Where to read at most so many rows by key.
    #[must_use]
    pub fn read_source(&self, rows: usize) -> ReadSource<'_> {
        if rows <= MAX_INLINE_ROWS {
            ReadSource::Inline(self)
        } else {
            ReadSource::Pool(self)
        }
    }
}

impl ReadSource<'_> {
    /// What a statement finds, if it can be read in the thread of the caller. `statement` is
    /// one of those that sqlx recorded.
    pub fn try_read_inline<R>(
        &self,
        statement: &'static str,
        parameters: &[Parameter<'_>],
        row: impl FnMut(&mut RowCursor<'_>) -> Result<R, WrongType>,
    ) -> Option<Vec<R>> {
        match self {
            Self::Inline(database) => database.inline_readers.read(statement, parameters, row),
            Self::Pool(_) | Self::Pooled(_) | Self::Transaction(_) => None,
        }
    }

    /// The state of the database that is read here, if it can be told in the thread of the
    /// caller. What is read after it may be kept for as long as there is the same.
    #[must_use]
    pub fn version(&self) -> Option<DataVersion> {
        match self {
            Self::Inline(database) => database.inline_readers.version(),
            Self::Pool(_) | Self::Pooled(_) | Self::Transaction(_) => None,
        }
    }

    /// The connection to read on.
    ///
    /// # Errors
    ///
    /// [`sqlx::Error::PoolTimedOut`] if none is free for as long as a read may wait, and
    /// [`sqlx::Error::PoolClosed`] after [`Lifecycle::close`](crate::Lifecycle::close).
    pub async fn connection(&mut self) -> Result<&mut SqliteConnection, sqlx::Error> {
        if let Self::Inline(database) | Self::Pool(database) = self {
            *self = Self::Pooled(database.acquire().await?);
        }
        match self {
            Self::Pooled(reader) => Ok(reader),
            Self::Transaction(connection) => Ok(connection),
            Self::Inline(_) | Self::Pool(_) => Err(sqlx::Error::PoolClosed),
        }
    }
}

/// Reads the rows of a statement from a [`ReadSource`]: in the thread of the caller if that is
/// possible, and else on a connection. The literals before the arguments are joined to the statement. `$row` has a
/// field for each column, and a function `read` that takes them from a [`RowCursor`].
#[macro_export]
macro_rules! select {
    ($source:expr, $row:path, $first:tt $(+ $more:tt)* $(, $argument:expr)* $(,)?) => {
        async {
            let source = $source;
            let inline = source.try_read_inline(
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
