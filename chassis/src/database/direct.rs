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

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rusqlite::{
    Connection, OpenFlags, ToSql,
    hooks::{AuthAction, AuthContext, Authorization},
    params_from_iter,
    types::{ToSqlOutput, ValueRef},
};

use super::{
    Access,
    authorizer::{Action, Code},
};

/// Statements that a connection keeps prepared: more than a service reads by.
const PREPARED: usize = 64;

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
pub struct Columns<'a> {
    row: &'a rusqlite::Row<'a>,
    next: usize,
}

/// A column is not of the type that it is declared with.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct WrongType(#[from] rusqlite::Error);

impl Columns<'_> {
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
    pub fn text(&mut self) -> Result<String, WrongType> {
        self.next += 1;
        Ok(self.row.get(self.next - 1)?)
    }
}

/// The connections, of which a thread takes one for each read: as many as read at once.
pub(super) struct Direct {
    path: PathBuf,
    access: &'static Access,
    // None if it is off, or closed.
    idle: Mutex<Option<Vec<Connection>>>,
    failing: AtomicBool,
}

impl Direct {
    /// Reads of the database at `path`, which need not be there yet.
    pub(super) fn new(path: PathBuf, access: &'static Access, on: bool) -> Self {
        Self {
            path,
            access,
            idle: Mutex::new(on.then(Vec::new)),
            failing: AtomicBool::new(false),
        }
    }

    /// The rows that a statement finds, or nothing if they have to be read in another way.
    pub(super) fn read<R>(
        &self,
        statement: &'static str,
        parameters: &[Parameter<'_>],
        row: impl FnMut(&mut Columns<'_>) -> Result<R, WrongType>,
    ) -> Option<Vec<R>> {
        let taken = self.idle().as_mut()?.pop();
        let read = taken
            .map_or_else(|| self.open(), Ok)
            .and_then(|connection| {
                let rows = read(&connection, statement, parameters, row)?;
                Ok((connection, rows))
            });
        match read {
            Ok((connection, rows)) => {
                self.failing.store(false, Ordering::Relaxed);
                // If it was closed meanwhile, so is this one.
                if let Some(idle) = self.idle().as_mut() {
                    idle.push(connection);
                }
                Some(rows)
            }
            Err(error) => {
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::debug!(%error, "a read in the thread of its call failed");
                }
                None
            }
        }
    }

    /// Closes the connections; no more are opened.
    pub(super) fn close(&self) {
        *self.idle() = None;
    }

    fn idle(&self) -> MutexGuard<'_, Option<Vec<Connection>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that reads what the service may read. It waits for nobody: the thread
    /// has other calls to serve.
    fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(std::time::Duration::ZERO)?;
        connection.set_prepared_statement_cache_capacity(PREPARED);
        let access = self.access;
        connection.authorizer(Some(move |context: AuthContext<'_>| {
            if action(context.action).is_some_and(|action| access.allows(action)) {
                Authorization::Allow
            } else {
                Authorization::Deny
            }
        }))?;
        Ok(connection)
    }
}

impl fmt::Debug for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Direct")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

fn read<R>(
    connection: &Connection,
    statement: &'static str,
    parameters: &[Parameter<'_>],
    mut row: impl FnMut(&mut Columns<'_>) -> Result<R, WrongType>,
) -> rusqlite::Result<Vec<R>> {
    let mut statement = connection.prepare_cached(statement)?;
    let mut rows = statement.query(params_from_iter(parameters))?;
    let mut read = Vec::new();
    while let Some(found) = rows.next()? {
        let mut columns = Columns {
            row: found,
            next: 0,
        };
        read.push(row(&mut columns).map_err(|WrongType(error)| error)?);
    }
    Ok(read)
}

/// What a statement that reads does, in the words of our rules; nothing for all else.
fn action(action: AuthAction<'_>) -> Option<Action<'_>> {
    let (code, first, second) = match action {
        AuthAction::Select => (Code::Select, None, None),
        AuthAction::Read {
            table_name,
            column_name,
        } => (Code::Read, Some(table_name), Some(column_name)),
        AuthAction::Function { function_name } => (Code::Function, None, Some(function_name)),
        _ => return None,
    };
    Some(Action {
        code,
        first,
        second,
        database: None,
        trigger: None,
    })
}
