//! SQLite's online backup: the pages of one file into another, while others use it. Knows
//! pages and locks, and nothing of what is on the pages.

use std::{
    ffi::{CStr, CString, c_int, c_uint},
    os::unix::ffi::OsStrExt,
    path::Path,
    ptr::{self, NonNull},
};

use libsqlite3_sys as sqlite;

/// The schema of a connection that is the file itself.
const MAIN: &CStr = c"main";

/// What SQLite said when it did not copy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (SQLite code {code})")]
pub struct OnlineBackupError {
    code: i32,
    message: String,
}

impl OnlineBackupError {
    fn new(code: c_int) -> Self {
        // SAFETY: it takes any number, and returns a constant text that ends with a zero.
        let message = unsafe { CStr::from_ptr(sqlite::sqlite3_errstr(code)) };
        let message = message.to_string_lossy().into_owned();
        Self { code, message }
    }

    /// The lower byte of the code, which says what happened; the upper ones say how.
    #[must_use]
    pub fn primary_code(&self) -> i32 {
        self.code & 0xff
    }
}

/// How far a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupProgress {
    /// Those that are copied.
    pub done: u64,
    /// All.
    pub total: u64,
}

/// A copy of all pages of one file into another, which may be in use: one transaction of
/// that other file, so those who read it go on reading what was there before, and those
/// who write wait. Until [`OnlineBackup::finish`] nothing has happened: dropped, or killed, it
/// leaves the file as it was.
#[derive(Debug)]
pub struct OnlineBackup {
    /// Null once it is finished.
    backup: *mut sqlite::sqlite3_backup,
    into: Connection,
    /// The pages are read through it for as long as `backup` is there.
    _from: Connection,
}

// SAFETY: all of it is used through `&mut self` or by value, so by one thread at a time;
// the connections are serialised by SQLite besides, and belong to this value alone.
unsafe impl Send for OnlineBackup {}

impl OnlineBackup {
    /// Opens both files. The one that is written must be there; if it has pages, they must
    /// be of the size of the other's.
    ///
    /// # Errors
    ///
    /// [`OnlineBackupError`] if one of them cannot be opened.
    pub fn open(into: &Path, from: &Path) -> Result<Self, OnlineBackupError> {
        let into = Connection::open(into, sqlite::SQLITE_OPEN_READWRITE)?;
        let from = Connection::open(from, sqlite::SQLITE_OPEN_READONLY)?;
        // What was copied is on the disk.
        into.execute(c"pragma synchronous = full")?;
        // SAFETY: both connections are open, outlive the backup (see `Drop`), and are two.
        let backup = unsafe {
            sqlite::sqlite3_backup_init(into.handle(), MAIN.as_ptr(), from.handle(), MAIN.as_ptr())
        };
        if backup.is_null() {
            return Err(into.error());
        }
        Ok(Self {
            backup,
            into,
            _from: from,
        })
    }

    /// Takes the write lock of the file that is written, and keeps it; `false` while
    /// somebody else has it. It does not wait.
    ///
    /// # Errors
    ///
    /// [`OnlineBackupError`] if that is not the reason.
    pub fn lock(&mut self) -> Result<bool, OnlineBackupError> {
        match self.step(0) {
            Ok(_) => Ok(true),
            Err(error) => match error.primary_code() {
                sqlite::SQLITE_BUSY | sqlite::SQLITE_LOCKED => Ok(false),
                _ => Err(error),
            },
        }
    }

    /// Copies so many pages at the most, but never the last one: that is for
    /// [`OnlineBackup::finish`].
    ///
    /// # Errors
    ///
    /// [`OnlineBackupError`] if they cannot be read or written.
    pub fn copy(&mut self, pages: u32) -> Result<BackupProgress, OnlineBackupError> {
        let BackupProgress { done, total } = self.pages();
        let left = total.saturating_sub(done).saturating_sub(1);
        let step = left.min(pages.into());
        if step > 0 {
            // Not above `pages`; SQLite counts pages in 31 bits.
            self.step(c_int::try_from(step).unwrap_or(c_int::MAX))?;
        }
        Ok(self.pages())
    }

    /// Whether all but the last page is copied.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let BackupProgress { done, total } = self.pages();
        done + 1 >= total
    }

    /// How far it is: nothing of nothing before [`OnlineBackup::lock`].
    #[must_use]
    pub fn pages(&self) -> BackupProgress {
        // SAFETY: the backup is not finished, which only `finish` and `drop` do.
        let (total, remaining) = unsafe {
            (
                sqlite::sqlite3_backup_pagecount(self.backup),
                sqlite::sqlite3_backup_remaining(self.backup),
            )
        };
        let number = |n: c_int| u64::try_from(n).unwrap_or_default();
        BackupProgress {
            done: number(total.saturating_sub(remaining)),
            total: number(total),
        }
    }

    /// Copies the rest and commits.
    ///
    /// # Errors
    ///
    /// [`OnlineBackupError`]; the file is then as it was before.
    pub fn finish(mut self) -> Result<CommittedBackup, OnlineBackupError> {
        if !self.step(-1)? {
            return Err(OnlineBackupError::new(sqlite::SQLITE_ERROR));
        }
        self.end()?;
        let version = self.into.data_version()?;
        // What remains of `self` is two connections, of which one goes on.
        let into = Connection(self.into.0.take());
        Ok(CommittedBackup { into, version })
    }

    /// Whether that was all of it.
    fn step(&mut self, pages: c_int) -> Result<bool, OnlineBackupError> {
        // SAFETY: the backup is not finished, which only `finish` and `drop` do.
        match unsafe { sqlite::sqlite3_backup_step(self.backup, pages) } {
            sqlite::SQLITE_OK => Ok(false),
            sqlite::SQLITE_DONE => Ok(true),
            code => Err(OnlineBackupError::new(code)),
        }
    }

    /// Gives the lock up, and takes back what is not committed.
    fn end(&mut self) -> Result<(), OnlineBackupError> {
        let backup = std::mem::replace(&mut self.backup, ptr::null_mut());
        // SAFETY: it is null, which SQLite ignores, or not finished yet; and it is null
        // from now on.
        match unsafe { sqlite::sqlite3_backup_finish(backup) } {
            sqlite::SQLITE_OK => Ok(()),
            code => Err(OnlineBackupError::new(code)),
        }
    }
}

impl Drop for OnlineBackup {
    /// The backup ends before its connections, which are closed after this.
    fn drop(&mut self) {
        // Why it failed was said by the step that did.
        let _ = self.end();
    }
}

/// A copy that is committed.
#[derive(Debug)]
pub struct CommittedBackup {
    into: Connection,
    /// The data version right after the commit.
    version: c_uint,
}

// SAFETY: as for `OnlineBackup`.
unsafe impl Send for CommittedBackup {}

impl CommittedBackup {
    /// Reports whether the copy is still the latest commit of the file: no other connection has
    /// written since.
    ///
    /// # Errors
    ///
    /// [`OnlineBackupError`] if the file cannot be read.
    pub fn unchanged_since_commit(&self) -> Result<bool, OnlineBackupError> {
        // The number changes when a transaction begins that finds a commit of another
        // connection, and not with our own.
        self.into
            .execute(c"select count(name) from sqlite_schema")?;
        Ok(self.into.data_version()? == self.version)
    }
}

/// A connection of its own, beside those of sqlx. It waits for nobody. `None` once it was
/// handed on.
#[derive(Debug)]
struct Connection(Option<NonNull<sqlite::sqlite3>>);

impl Connection {
    fn open(path: &Path, flags: c_int) -> Result<Self, OnlineBackupError> {
        let path = CString::new(path.as_os_str().as_bytes())
            .map_err(|_| OnlineBackupError::new(sqlite::SQLITE_CANTOPEN))?;
        let mut handle = ptr::null_mut();
        // SAFETY: the path ends with a zero, and there is room for the handle.
        let code = unsafe {
            sqlite::sqlite3_open_v2(
                path.as_ptr(),
                &raw mut handle,
                flags | sqlite::SQLITE_OPEN_FULLMUTEX | sqlite::SQLITE_OPEN_EXRESCODE,
                ptr::null(),
            )
        };
        // Even a connection that was not opened has to be closed.
        let connection = Self(NonNull::new(handle));
        if code == sqlite::SQLITE_OK {
            Ok(connection)
        } else {
            Err(OnlineBackupError::new(code))
        }
    }

    /// Null after it was handed on, which SQLite takes for a misuse and refuses.
    fn handle(&self) -> *mut sqlite::sqlite3 {
        self.0.map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    fn execute(&self, statement: &CStr) -> Result<(), OnlineBackupError> {
        // SAFETY: the connection is open, the statement ends with a zero, and without a
        // callback the rows are dropped and the message is not wanted.
        let code = unsafe {
            sqlite::sqlite3_exec(
                self.handle(),
                statement.as_ptr(),
                None,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        match code {
            sqlite::SQLITE_OK => Ok(()),
            code => Err(OnlineBackupError::new(code)),
        }
    }

    /// A number that changes with each commit that the connection makes or sees.
    fn data_version(&self) -> Result<c_uint, OnlineBackupError> {
        let mut version: c_uint = 0;
        // SAFETY: the connection is open, and for this question SQLite writes one unsigned
        // int to where the pointer points.
        let code = unsafe {
            sqlite::sqlite3_file_control(
                self.handle(),
                MAIN.as_ptr(),
                sqlite::SQLITE_FCNTL_DATA_VERSION,
                (&raw mut version).cast(),
            )
        };
        match code {
            sqlite::SQLITE_OK => Ok(version),
            code => Err(OnlineBackupError::new(code)),
        }
    }

    /// The failure of the last call that has no code of its own.
    fn error(&self) -> OnlineBackupError {
        // SAFETY: the connection is open.
        OnlineBackupError::new(unsafe { sqlite::sqlite3_extended_errcode(self.handle()) })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: nothing else has the handle, and SQLite ignores null. No statement is left
        // open on it, and no backup: see the order in `OnlineBackup`.
        unsafe { sqlite::sqlite3_close(self.handle()) };
    }
}
