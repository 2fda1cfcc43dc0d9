//! The source of a read: inline, a pooled connection, or an open transaction.

use sqlx::{Sqlite, SqliteConnection, pool::PoolConnection};

use super::{DataVersion, Database, Parameter, RowCursor, WrongType};

/// The maximum number of rows of an inline read: a page of 100, and one row more that tells whether
/// a next page exists.
const MAX_INLINE_ROWS: usize = 101;

/// The source of the rows of a statement. [`select!`](crate::select) first tries
/// [`ReadSource::try_read_inline`], and otherwise reads on the [`ReadSource::connection`].
#[derive(Debug)]
pub enum ReadSource<'a> {
    /// An inline read, for a few rows by key. It blocks the other calls of the thread. If it is not
    /// possible, the rows are read on a pooled connection.
    ///
    /// The snapshot may be older than the read, but is never older than the arrival of the call. The
    /// rows may therefore be sent in the response, but be cached only under their
    /// [`DataVersion`].
    Inline(&'a Database),
    /// A connection of the read pool, which is not acquired yet: for many rows, or an unknown number.
    Pool(&'a Database),
    /// A connection of the read pool.
    Pooled(PoolConnection<Sqlite>),
    /// A connection with an open transaction.
    Transaction(&'a mut SqliteConnection),
}

impl Database {
    /// Returns the source for a read of at most `max_rows` rows by key.
    #[must_use]
    pub fn read_source(&self, max_rows: usize) -> ReadSource<'_> {
        if max_rows <= MAX_INLINE_ROWS {
            ReadSource::Inline(self)
        } else {
            ReadSource::Pool(self)
        }
    }
}

impl ReadSource<'_> {
    /// Returns the rows of a statement that sqlx recorded, or `None` if they cannot be read inline.
    pub fn try_read_inline<R>(
        &self,
        statement: &'static str,
        parameters: &[Parameter<'_>],
        row: impl FnMut(&mut RowCursor<'_>) -> Result<R, WrongType>,
    ) -> Option<Vec<R>> {
        match self {
            Self::Inline(database) => database.reads.inline.read(statement, parameters, row),
            Self::Pool(_) | Self::Pooled(_) | Self::Transaction(_) => None,
        }
    }

    /// Returns the version of the data, or `None` if it cannot be read inline. Rows that are read
    /// afterwards may be cached for as long as the version is the same.
    #[must_use]
    pub fn data_version(&self) -> Option<DataVersion> {
        match self {
            Self::Inline(database) => database.reads.inline.version(),
            Self::Pool(_) | Self::Pooled(_) | Self::Transaction(_) => None,
        }
    }

    /// Returns the connection to read on, and acquires it first if necessary.
    ///
    /// # Errors
    ///
    /// [`sqlx::Error::PoolTimedOut`] if no connection becomes free within `READ_POOL_TIMEOUT`, and
    /// [`sqlx::Error::PoolClosed`] after [`Lifecycle::close`](crate::Lifecycle::close).
    pub async fn connection(&mut self) -> Result<&mut SqliteConnection, sqlx::Error> {
        if let Self::Inline(database) | Self::Pool(database) = self {
            *self = Self::Pooled(database.reads.acquire().await?);
        }
        match self {
            Self::Pooled(reader) => Ok(reader),
            Self::Transaction(connection) => Ok(connection),
            Self::Inline(_) | Self::Pool(_) => Err(sqlx::Error::PoolClosed),
        }
    }
}

/// Reads the rows of a statement from a [`ReadSource`]: inline if that is possible, and otherwise on a
/// connection. The literals before the arguments are joined to the statement. `$row` has a field for
/// each column, and a function `read` that takes them from a [`RowCursor`].
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
