//! Inline reads: short reads in the thread of their caller.
//!
//! sqlx sends a statement, and again its rows, through the thread of a connection. That takes longer
//! than a short read itself, so a read of a few rows by key is executed in the thread of its caller.
//! The statements are those that sqlx recorded, under the same access policy.
//!
//! Inline reads are only an optimisation: if one fails or is not possible, the caller reads on a
//! connection of the pool instead, and gets the rows or the error there.

mod shared_snapshot;

use std::{
    cell::Cell,
    fmt,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use rusqlite::{
    CachedStatement, Connection, OpenFlags, ToSql,
    hooks::{AuthAction, AuthContext, Authorization},
    params_from_iter,
    types::{FromSql, ToSqlOutput, ValueRef},
};

use super::action::{Action, ActionCode};
use crate::AccessPolicy;

/// The number of prepared statements that a connection caches: more than a service reads with.
const STATEMENT_CACHE_CAPACITY: usize = 64;

/// The page cache of a connection. SQLite takes a negative number as KiB. Each worker thread has one
/// connection, and so one such cache.
const CACHE_SIZE_KIB: i64 = -2048;

/// A parameter of a statement.
#[derive(Clone, Copy, Debug)]
pub enum Parameter<'a> {
    /// An INTEGER, or NULL.
    Integer(Option<i64>),
    /// A TEXT.
    Text(&'a str),
}

impl From<i64> for Parameter<'_> {
    fn from(value: i64) -> Self {
        Self::Integer(Some(value))
    }
}

impl From<Option<i64>> for Parameter<'_> {
    fn from(value: Option<i64>) -> Self {
        Self::Integer(value)
    }
}

impl<'a> From<&'a str> for Parameter<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a String> for Parameter<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(value)
    }
}

impl ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Integer(Some(value)) => ValueRef::Integer(*value),
            Self::Integer(None) => ValueRef::Null,
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

/// A cursor over the columns of one row, from the first to the last.
#[derive(Debug)]
pub struct RowCursor<'a> {
    row: &'a rusqlite::Row<'a>,
    next: usize,
}

/// The error for a column whose value has another type than the one requested.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct WrongType(#[from] rusqlite::Error);

impl RowCursor<'_> {
    /// Returns the next column, an INTEGER.
    ///
    /// # Errors
    ///
    /// If the column has another type.
    pub fn integer(&mut self) -> Result<i64, WrongType> {
        self.next += 1;
        Ok(self.row.get(self.next - 1)?)
    }

    /// Returns the next column, a TEXT.
    ///
    /// # Errors
    ///
    /// If the column has another type.
    pub fn text<T: FromSql + AsRef<str>>(&mut self) -> Result<T, WrongType> {
        self.next += 1;
        Ok(self.row.get(self.next - 1)?)
    }
}

/// A version of the data in the database, from SQLite's `PRAGMA data_version`. If two values are
/// equal, no process committed a change between the two reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataVersion {
    /// The number of the connection that read it.
    pub connection: u64,
    /// The value of the pragma, which is comparable only on the same connection.
    number: i64,
}

/// The connections for inline reads. Each read takes an idle one, or opens another. The pool
/// thus grows to the number of threads that read concurrently.
pub(super) struct InlineReaders {
    path: PathBuf,
    access: &'static AccessPolicy,
    // `None` if inline reads are disabled, or after `close`.
    idle: Mutex<Option<Vec<InlineConnection>>>,
    opened: AtomicU64,
    failing: AtomicBool,
}

/// A connection for inline reads.
struct InlineConnection {
    // Boxed, since it is large and moved for each read.
    connection: Box<Connection>,
    // The number of connections that were opened before it.
    number: u64,
    // True during an internal statement, which the access policy denies to a service: BEGIN, COMMIT
    // and `PRAGMA data_version`.
    internal: Arc<AtomicBool>,
    // The `data_version` of the open snapshot, once it was read.
    version: Cell<Option<i64>>,
}

impl InlineReaders {
    /// Returns a pool without connections. The database at `path` may not exist yet.
    pub(super) fn new(path: PathBuf, access: &'static AccessPolicy, enabled: bool) -> Self {
        Self {
            path,
            access,
            idle: Mutex::new(enabled.then(Vec::new)),
            opened: AtomicU64::new(0),
            failing: AtomicBool::new(false),
        }
    }

    /// Returns the rows of a statement, or `None` if the caller must read on another connection. The
    /// rows may be from the shared snapshot.
    pub(super) fn read<R>(
        self: &Arc<Self>,
        statement: &'static str,
        parameters: &[Parameter<'_>],
        row: impl FnMut(&mut RowCursor<'_>) -> Result<R, WrongType>,
    ) -> Option<Vec<R>> {
        self.with(|reader| read(&reader.connection, statement, parameters, row))
    }

    /// Returns the version of the data, or that of the shared snapshot. Returns `None` if it cannot
    /// be read inline.
    pub(super) fn version(self: &Arc<Self>) -> Option<DataVersion> {
        self.with(InlineConnection::version)
    }

    /// Calls `f` with a connection. Returns `None` if inline reads are disabled, or on an error.
    fn with<R>(
        self: &Arc<Self>,
        f: impl FnOnce(&InlineConnection) -> rusqlite::Result<R>,
    ) -> Option<R> {
        let done = self.take_shared().and_then(|reader| {
            let Some(reader) = reader else {
                return Ok(None);
            };
            let done = f(&reader)?;
            Ok(Some((reader, done)))
        });
        match done {
            Ok(None) => None,
            Ok(Some((reader, done))) => {
                self.failing.store(false, Ordering::Relaxed);
                self.give_back_shared(reader);
                Some(done)
            }
            Err(error) => {
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::debug!(%error, "inline read failed; reading on a pooled connection");
                }
                None
            }
        }
    }

    /// Takes an idle connection, or opens one. Returns `None` if inline reads are disabled.
    fn take(&self) -> rusqlite::Result<Option<InlineConnection>> {
        let taken = match self.idle().as_mut() {
            None => return Ok(None),
            Some(idle) => idle.pop(),
        };
        taken.map_or_else(|| self.open(), Ok).map(Some)
    }

    /// Returns a connection to the pool, or closes it after [`InlineReaders::close`].
    fn give_back(&self, reader: InlineConnection) {
        if let Some(idle) = self.idle().as_mut() {
            idle.push(reader);
        }
    }

    /// Closes the idle connections, and disables inline reads.
    pub(super) fn close(&self) {
        *self.idle() = None;
    }

    fn idle(&self) -> MutexGuard<'_, Option<Vec<InlineConnection>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a read-only connection with the access policy of the service. It never waits for a lock,
    /// since it would block the other calls of the thread.
    fn open(&self) -> rusqlite::Result<InlineConnection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(std::time::Duration::ZERO)?;
        connection.pragma_update(None, "cache_size", CACHE_SIZE_KIB)?;
        connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE_CAPACITY);
        let access = self.access;
        let internal = Arc::new(AtomicBool::new(false));
        let is_internal = Arc::clone(&internal);
        connection.authorizer(Some(move |context: AuthContext<'_>| {
            let allowed = match context.action {
                AuthAction::Transaction { .. }
                | AuthAction::Pragma {
                    pragma_name: "data_version",
                    pragma_value: None,
                } => is_internal.load(Ordering::Relaxed),
                other => action(other).is_some_and(|action| access.allows(action)),
            };
            if allowed {
                Authorization::Allow
            } else {
                Authorization::Deny
            }
        }))?;
        Ok(InlineConnection {
            connection: Box::new(connection),
            number: self.opened.fetch_add(1, Ordering::Relaxed),
            internal,
            version: Cell::new(None),
        })
    }
}

impl InlineConnection {
    /// Begins a snapshot, which the first read opens.
    fn begin(&self) -> rusqlite::Result<()> {
        self.internal_statement("begin", |statement| statement.execute([]).map(drop))
    }

    /// Returns whether a snapshot has begun.
    fn has_begun(&self) -> bool {
        !self.connection.is_autocommit()
    }

    /// Ends the snapshot.
    fn end(&self) -> rusqlite::Result<()> {
        self.version.set(None);
        self.internal_statement("commit", |statement| statement.execute([]).map(drop))
    }

    /// Returns the version of the data that the connection reads.
    fn version(&self) -> rusqlite::Result<DataVersion> {
        let number = match self.version.get() {
            Some(number) => number,
            None => self.internal_statement("pragma data_version", |statement| {
                statement.query_row([], |row| row.get(0))
            })?,
        };
        if self.has_begun() {
            self.version.set(Some(number));
        }
        Ok(DataVersion {
            connection: self.number,
            number,
        })
    }

    /// Executes an internal statement, which a service may not execute.
    fn internal_statement<R>(
        &self,
        statement: &str,
        f: impl FnOnce(&mut CachedStatement<'_>) -> rusqlite::Result<R>,
    ) -> rusqlite::Result<R> {
        self.internal.store(true, Ordering::Relaxed);
        let done = self.connection.prepare_cached(statement);
        let done = done.and_then(|mut statement| f(&mut statement));
        self.internal.store(false, Ordering::Relaxed);
        done
    }
}

impl fmt::Debug for InlineReaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InlineReaders")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

fn read<R>(
    connection: &Connection,
    statement: &'static str,
    parameters: &[Parameter<'_>],
    mut row: impl FnMut(&mut RowCursor<'_>) -> Result<R, WrongType>,
) -> rusqlite::Result<Vec<R>> {
    let mut statement = connection.prepare_cached(statement)?;
    let mut rows = statement.query(params_from_iter(parameters))?;
    let mut read = Vec::new();
    while let Some(found) = rows.next()? {
        let mut columns = RowCursor {
            row: found,
            next: 0,
        };
        read.push(row(&mut columns).map_err(|WrongType(error)| error)?);
    }
    Ok(read)
}

/// Converts an action of a reading statement, or returns `None` for any other action.
fn action(action: AuthAction<'_>) -> Option<Action<'_>> {
    let (code, arg1, arg2) = match action {
        AuthAction::Select => (ActionCode::Select, None, None),
        AuthAction::Read {
            table_name,
            column_name,
        } => (ActionCode::Read, Some(table_name), Some(column_name)),
        AuthAction::Function { function_name } => (ActionCode::Function, None, Some(function_name)),
        _ => return None,
    };
    Some(Action { code, arg1, arg2 })
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    /// Without `SQLITE_ENABLE_QPSG`, which `.cargo/config.toml` sets, SQLite replans a statement for
    /// each value of a LIMIT. That takes longer than the read.
    #[test]
    fn a_statement_is_not_replanned_for_other_parameters() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("create table a (id integer primary key)")
            .unwrap();
        let statement = "select id from a where id < ?1 order by id desc limit ?2";

        for limit in 1..10 {
            let parameters = [limit.into(), limit.into()];
            read(&connection, statement, &parameters, |row| {
                let id = row.integer()?;
                Ok(id)
            })
            .unwrap();
        }

        let prepared = connection.prepare_cached(statement).unwrap();
        assert_eq!(prepared.get_status(StatementStatus::Run), 9);
        assert_eq!(prepared.get_status(StatementStatus::RePrepare), 0);
    }
}
