//! SQLite's online backup: copies all pages of one file into another, which may be in use. It knows
//! pages and locks, and not the content of the pages.

use std::{
    ffi::{CStr, CString, c_int, c_uint},
    os::unix::ffi::OsStrExt,
    path::Path,
    ptr::{self, NonNull},
};

use libsqlite3_sys as sqlite;

/// The name of a connection's main database.
const MAIN: &CStr = c"main";

/// An error of SQLite during an online backup.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (SQLite code {code})")]
pub struct OnlineBackupError {
    code: i32,
    message: String,
}

impl OnlineBackupError {
    fn new(code: c_int) -> Self {
        // SAFETY: it takes any number, and returns a constant NUL-terminated string.
        let message = unsafe { CStr::from_ptr(sqlite::sqlite3_errstr(code)) };
        let message = message.to_string_lossy().into_owned();
        Self { code, message }
    }

    /// Returns the primary result code: the lower byte of the extended one.
    #[must_use]
    pub fn primary_code(&self) -> i32 {
        self.code & 0xff
    }
}

/// The progress of an online backup, in pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupProgress {
    /// The pages that are copied.
    pub copied: u64,
    /// All pages.
    pub total: u64,
}

/// A copy of all pages of a source file into a target file, in one transaction of the target. Readers
/// of the target see its old content until the commit, and writers wait. Without
/// [`OnlineBackup::finish`], even after a crash, the target is unchanged.
#[derive(Debug)]
pub struct OnlineBackup {
    /// Null after `sqlite3_backup_finish`.
    backup: *mut sqlite::sqlite3_backup,
    target: Connection,
    /// Kept open, since `backup` reads the pages through it.
    _source: Connection,
}

// SAFETY: only methods with `&mut self` or `self` change it, so one thread uses it at a time. SQLite
// also serialises each connection (FULLMUTEX), and no other value has the handles.
unsafe impl Send for OnlineBackup {}

impl OnlineBackup {
    /// Opens both files. The target must exist. If it has pages, they must have the page size of the
    /// source.
    ///
    /// # Errors
    ///
    /// [`OnlineBackupError`] if a file cannot be opened.
    pub fn open(target: &Path, source: &Path) -> Result<Self, OnlineBackupError> {
        let target = Connection::open(target, sqlite::SQLITE_OPEN_READWRITE)?;
        let source = Connection::open(source, sqlite::SQLITE_OPEN_READONLY)?;
        // A committed copy survives a loss of power.
        target.execute(c"pragma synchronous = full")?;
        // SAFETY: the two connections are open, distinct, and outlive the backup (see `Drop`).
        let backup = unsafe {
            sqlite::sqlite3_backup_init(
                target.handle(),
                MAIN.as_ptr(),
                source.handle(),
                MAIN.as_ptr(),
            )
        };
        if backup.is_null() {
            return Err(target.error());
        }
        Ok(Self {
            backup,
            target,
            _source: source,
        })
    }

    /// Takes the write lock of the target and holds it. Returns `false` immediately if another
    /// connection holds the lock.
    ///
    /// # Errors
    ///
    /// [`OnlineBackupError`] for any other reason.
    pub fn lock(&mut self) -> Result<bool, OnlineBackupError> {
        match self.step(0) {
            Ok(_) => Ok(true),
            Err(error) => match error.primary_code() {
                sqlite::SQLITE_BUSY | sqlite::SQLITE_LOCKED => Ok(false),
                _ => Err(error),
            },
        }
    }

    /// Copies at most `max_pages` pages, except for the last one, which [`OnlineBackup::finish`]
    /// copies.
    ///
    /// # Errors
    ///
    /// [`OnlineBackupError`] if a page cannot be read or written.
    pub fn copy(&mut self, max_pages: u32) -> Result<BackupProgress, OnlineBackupError> {
        let BackupProgress { copied, total } = self.progress();
        let left = total.saturating_sub(copied).saturating_sub(1);
        let step = left.min(max_pages.into());
        if step > 0 {
            // SQLite counts pages in 31 bits.
            self.step(c_int::try_from(step).unwrap_or(c_int::MAX))?;
        }
        Ok(self.progress())
    }

    /// Returns whether at most the last page is left to copy.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let BackupProgress { copied, total } = self.progress();
        copied + 1 >= total
    }

    /// Returns the progress: 0 of 0 pages before [`OnlineBackup::lock`].
    #[must_use]
    pub fn progress(&self) -> BackupProgress {
        // SAFETY: the backup is open; only `finish` and `drop` end it.
        let (total, remaining) = unsafe {
            (
                sqlite::sqlite3_backup_pagecount(self.backup),
                sqlite::sqlite3_backup_remaining(self.backup),
            )
        };
        let number = |n: c_int| u64::try_from(n).unwrap_or_default();
        BackupProgress {
            copied: number(total.saturating_sub(remaining)),
            total: number(total),
        }
    }

    /// Copies the remaining pages and commits.
    ///
    /// # Errors
    ///
    /// [`OnlineBackupError`]. The target is then unchanged.
    pub fn finish(mut self) -> Result<CommittedBackup, OnlineBackupError> {
        if !self.step(-1)? {
            return Err(OnlineBackupError::new(sqlite::SQLITE_ERROR));
        }
        self.end()?;
        let version = self.target.data_version()?;
        // `drop` closes only the source.
        let target = Connection(self.target.0.take());
        Ok(CommittedBackup { target, version })
    }

    /// Copies pages. Returns whether all pages are copied.
    fn step(&mut self, pages: c_int) -> Result<bool, OnlineBackupError> {
        // SAFETY: the backup is open; only `finish` and `drop` end it.
        match unsafe { sqlite::sqlite3_backup_step(self.backup, pages) } {
            sqlite::SQLITE_OK => Ok(false),
            sqlite::SQLITE_DONE => Ok(true),
            code => Err(OnlineBackupError::new(code)),
        }
    }

    /// Ends the backup: releases the lock, and rolls back an uncommitted copy.
    fn end(&mut self) -> Result<(), OnlineBackupError> {
        let backup = std::mem::replace(&mut self.backup, ptr::null_mut());
        // SAFETY: the pointer is an open backup or null, which SQLite ignores. The field is null from
        // now on, so the backup is finished once.
        match unsafe { sqlite::sqlite3_backup_finish(backup) } {
            sqlite::SQLITE_OK => Ok(()),
            code => Err(OnlineBackupError::new(code)),
        }
    }
}

impl Drop for OnlineBackup {
    /// Ends the backup before its connections, which the fields close afterwards.
    fn drop(&mut self) {
        // It repeats the error of the last step, which its caller has received.
        let _ = self.end();
    }
}

/// A target file with a committed copy.
#[derive(Debug)]
pub struct CommittedBackup {
    target: Connection,
    /// The data version after the commit.
    version: c_uint,
}

// SAFETY: as for `OnlineBackup`.
unsafe impl Send for CommittedBackup {}

impl CommittedBackup {
    /// Returns whether the copy is still the latest commit of the file: no other connection has
    /// written since.
    ///
    /// # Errors
    ///
    /// [`OnlineBackupError`] if the file cannot be read.
    pub fn unchanged_since_commit(&self) -> Result<bool, OnlineBackupError> {
        // The statement begins a transaction, which updates the data version if another connection
        // has committed.
        self.target
            .execute(c"select count(name) from sqlite_schema")?;
        Ok(self.target.data_version()? == self.version)
    }
}

/// A connection without sqlx. It never waits for a lock. `None` after the handle was moved out.
#[derive(Debug)]
struct Connection(Option<NonNull<sqlite::sqlite3>>);

impl Connection {
    fn open(path: &Path, flags: c_int) -> Result<Self, OnlineBackupError> {
        let path = CString::new(path.as_os_str().as_bytes())
            .map_err(|_| OnlineBackupError::new(sqlite::SQLITE_CANTOPEN))?;
        let mut handle = ptr::null_mut();
        // SAFETY: the path is NUL-terminated, and `handle` is valid for one write.
        let code = unsafe {
            sqlite::sqlite3_open_v2(
                path.as_ptr(),
                &raw mut handle,
                flags | sqlite::SQLITE_OPEN_FULLMUTEX | sqlite::SQLITE_OPEN_EXRESCODE,
                ptr::null(),
            )
        };
        // SQLite returns a handle even on an error, which must be closed.
        let connection = Self(NonNull::new(handle));
        if code == sqlite::SQLITE_OK {
            Ok(connection)
        } else {
            Err(OnlineBackupError::new(code))
        }
    }

    /// Returns the handle, or null after it was moved out, which SQLite rejects as misuse.
    fn handle(&self) -> *mut sqlite::sqlite3 {
        self.0.map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    fn execute(&self, statement: &CStr) -> Result<(), OnlineBackupError> {
        // SAFETY: the connection is open, and the statement is NUL-terminated. SQLite accepts null for
        // the callback and the message.
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

    /// Returns a number that changes with each commit that the connection makes or sees.
    fn data_version(&self) -> Result<c_uint, OnlineBackupError> {
        let mut version: c_uint = 0;
        // SAFETY: the connection is open, and for this operation SQLite writes one `unsigned int`
        // through the pointer.
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

    /// Returns the error of the last call that returns no result code.
    fn error(&self) -> OnlineBackupError {
        // SAFETY: the connection is open.
        OnlineBackupError::new(unsafe { sqlite::sqlite3_extended_errcode(self.handle()) })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: no other value has the handle, and SQLite ignores null. The connection has no open
        // statement, and no open backup: `OnlineBackup` ends it first.
        unsafe { sqlite::sqlite3_close(self.handle()) };
    }
}
