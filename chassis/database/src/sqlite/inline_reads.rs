//! Short reads in the thread of their caller.
//!
//! A read through sqlx goes to the thread of a connection and comes back, for the statement
//! and again for its rows, which takes longer than a short read itself. So a read of a few
//! rows by key is done where it is asked for. It knows nothing that sqlx has not checked:
//! its statements are those that sqlx recorded, under the same rules.
//!
//! It is an optimisation, and only that: whatever is in its way, the caller reads as it
//! would without it, by [`Database::reader`], and gets the rows or the failure there.
//!
//! [`Database::reader`]: super::Database::reader

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

/// Statements that a connection keeps prepared: more than a service reads by.
const STATEMENT_CACHE_CAPACITY: usize = 64;

/// How much of the database a connection keeps in memory, in KiB, which SQLite takes as a
/// negative number: what it does not keep it reads from the file, page by page. There is a
/// connection for each thread that serves.
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

/// One row that was read: its columns from the first to the last.
#[derive(Debug)]
pub struct RowCursor<'a> {
    row: &'a rusqlite::Row<'a>,
    next: usize,
}

/// A column is not of the type that it is declared with.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct WrongType(#[from] rusqlite::Error);

impl RowCursor<'_> {
    /// The next column, an INTEGER.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn integer(&mut self) -> Result<i64, WrongType> {
        self.next += 1;
        Ok(self.row.get(self.next - 1)?)
    }

    /// The next column, a TEXT.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn text<T: FromSql + AsRef<str>>(&mut self) -> Result<T, WrongType> {
        self.next += 1;
        Ok(self.row.get(self.next - 1)?)
    }
}

/// A state of the database, as one of the connections counts them: between two moments at which
/// there is the same, nothing was committed, by whomever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataVersion {
    /// Which of the connections counts.
    pub connection: u64,
    /// SQLite's `data_version`, which only this connection knows the meaning of.
    number: i64,
}

/// The connections, of which a thread takes one for each read: as many as read at once.
pub(super) struct InlineReaders {
    path: PathBuf,
    access: &'static AccessPolicy,
    // None if it is off, or closed.
    idle: Mutex<Option<Vec<InlineConnection>>>,
    opened: AtomicU64,
    failing: AtomicBool,
}

/// One of the connections.
struct InlineConnection {
    // Large, and handed around.
    connection: Box<Connection>,
    // How many were opened before it.
    number: u64,
    // Whether it may begin or end a transaction, or look at the version: not for the asking of
    // a caller.
    internal: Arc<AtomicBool>,
    // That of the snapshot which has begun, once it was asked for.
    version: Cell<Option<i64>>,
}

impl InlineReaders {
    /// Reads of the database at `path`, which need not be there yet.
    pub(super) fn new(path: PathBuf, access: &'static AccessPolicy, enabled: bool) -> Self {
        Self {
            path,
            access,
            idle: Mutex::new(enabled.then(Vec::new)),
            opened: AtomicU64::new(0),
            failing: AtomicBool::new(false),
        }
    }

    /// The rows that a statement finds, or nothing if they have to be read in another way.
    /// They may be of a snapshot that others share.
    pub(super) fn read<R>(
        self: &Arc<Self>,
        statement: &'static str,
        parameters: &[Parameter<'_>],
        row: impl FnMut(&mut RowCursor<'_>) -> Result<R, WrongType>,
    ) -> Option<Vec<R>> {
        self.with(|reader| read(&reader.connection, statement, parameters, row))
    }

    /// Returns the state of the database, or that of the shared snapshot. Returns `None` if it
    /// cannot be read in this thread.
    pub(super) fn version(self: &Arc<Self>) -> Option<DataVersion> {
        self.with(InlineConnection::version)
    }

    /// Does something with a connection, if there is one, and if nothing fails.
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
                    tracing::debug!(%error, "a read in the thread of its call failed");
                }
                None
            }
        }
    }

    /// A connection that nobody else uses, if there are any at all.
    fn take(&self) -> rusqlite::Result<Option<InlineConnection>> {
        let taken = match self.idle().as_mut() {
            None => return Ok(None),
            Some(idle) => idle.pop(),
        };
        taken.map_or_else(|| self.open(), Ok).map(Some)
    }

    /// Keeps a connection for the next read. If they were closed meanwhile, so is this one.
    fn give_back(&self, reader: InlineConnection) {
        if let Some(idle) = self.idle().as_mut() {
            idle.push(reader);
        }
    }

    /// Closes the connections; no more are opened.
    pub(super) fn close(&self) {
        *self.idle() = None;
    }

    fn idle(&self) -> MutexGuard<'_, Option<Vec<InlineConnection>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that reads what the service may read. It waits for nobody: the thread
    /// has other calls to serve.
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
    /// From now on it reads what its first read finds.
    fn begin(&self) -> rusqlite::Result<()> {
        self.internal_statement("begin", |statement| statement.execute([]).map(drop))
    }

    /// Whether it does.
    fn has_begun(&self) -> bool {
        !self.connection.is_autocommit()
    }

    /// From now on it reads what is there, again.
    fn end(&self) -> rusqlite::Result<()> {
        self.version.set(None);
        self.internal_statement("commit", |statement| statement.execute([]).map(drop))
    }

    /// The state that it reads.
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

    /// Does what is not for a caller to ask for.
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

/// What a statement that reads does, in the words of our rules; nothing for all else.
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

    /// SQLite plans anew for each value of a LIMIT, which takes longer than the read itself,
    /// unless it is built with `SQLITE_ENABLE_QPSG`: `.cargo/config.toml` has it so.
    #[test]
    fn a_statement_is_prepared_once_whatever_its_parameters_are() {
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
