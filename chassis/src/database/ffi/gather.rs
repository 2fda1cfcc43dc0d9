//! Between SQLite and the operating system: what a transaction adds to the write-ahead log is
//! written by few calls.
//!
//! SQLite itself makes two calls for each page of the log, one for the header of its frame and one
//! for the page. Here they are held back, and go to the file together when the last frame of the
//! transaction is there, which says in its header that it is the last: before SQLite syncs the
//! file, and before it tells anybody that the frames are in it. So whoever reads or recovers the
//! log finds all that was committed, as without this. What a transaction that is given up leaves
//! held back is dropped, as if the process had ended before it wrote that.
//!
//! The file is also made longer than the log is, since a sync takes half as long if it does not find
//! it longer than the one before.
//!
//! Knows the file format of the log as far as that (<https://sqlite.org/fileformat2.html#walformat>),
//! and nothing of what is on the pages. All else is the operating system's own VFS
//! (<https://sqlite.org/vfs.html>), which does every call of this one.

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    ptr, slice,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use libsqlite3_sys as sqlite;

/// The name by which a connection asks for it.
const NAME: &str = "gathering";
const NAME_OF_VFS: &CStr = c"gathering";

/// How much is held back at the most, and so written at once: what the VFS below takes in one call,
/// of which it looks at no more than the 17 lower bits of the size.
const ROOM: usize = 0x1_FFFF; // bytes

/// By how much the file is made longer than the log, with zeros: some four batches of single writes.
/// Zeros are no frame, so whoever recovers the log stops there.
const AHEAD: i64 = 1024 * 1024; // bytes

/// The size of the header of a frame. Nothing else that is written to a log has it, unless SQLite
/// fills up sectors, which it then writes in parts: such a log is left alone.
const FRAME_HEADER: usize = 24; // bytes

/// The name of a VFS that gathers, for connections that write. The first call makes it known to
/// SQLite; if there is none that it could build on, the name is that of none either, and a
/// connection that asks for it is not opened.
pub(in crate::database) fn vfs() -> &'static str {
    static REGISTERED: OnceLock<()> = OnceLock::new();
    REGISTERED.get_or_init(|| {
        // SAFETY: null asks for the default one, which stays where it is for good.
        let below = unsafe { sqlite::sqlite3_vfs_find(ptr::null()) };
        if below.is_null() {
            return;
        }
        // SAFETY: it is there, and nobody changes it but for its place in SQLite's list, which
        // the copy gets anew.
        let table = sqlite::sqlite3_vfs {
            zName: NAME_OF_VFS.as_ptr(),
            xOpen: Some(open),
            ..unsafe { *below }
        };
        let vfs = Box::leak(Box::new(Vfs { table, below }));
        // SAFETY: it is never dropped, and is complete: what it does not do itself are the
        // functions of the one below, which find what that one has in the same fields. No name
        // is refused.
        unsafe { sqlite::sqlite3_vfs_register((&raw mut *vfs).cast(), 0) };
    });
    NAME
}

/// The table comes first: the pointer to it that SQLite passes is one to all of this.
#[repr(C)]
struct Vfs {
    table: sqlite::sqlite3_vfs,
    below: *mut sqlite::sqlite3_vfs,
}

/// What an open file of this VFS has besides what the one below keeps of it. The methods come
/// first: the pointer to them, which is all that the file itself holds of it, is one to all of
/// this.
#[repr(C)]
struct Own {
    methods: sqlite::sqlite3_io_methods,
    below: sqlite::sqlite3_io_methods,
    /// Shared by a database and its log.
    held: Arc<Mutex<Held>>,
}

/// What is held back of a log.
#[derive(Default)]
struct Held {
    bytes: Vec<u8>,
    /// Where in the file they begin; if there are none, where what was written last ends.
    start: i64,
    /// Whether the frame that was begun last ends its transaction.
    last: bool,
    /// How long the file is, as far as is known: others make it longer as well.
    size: i64,
}

impl Held {
    /// Takes what SQLite writes at `offset`, and writes to `file` what cannot wait. What is added
    /// neither to what is held back nor to what was written last does not wait: SQLite corrects
    /// something then.
    ///
    /// If it fails, so does the transaction, and nothing is held back of it.
    fn write(&mut self, bytes: &[u8], offset: i64, file: &mut impl File) -> Result<(), c_int> {
        let taken = self.take(bytes, offset, file);
        if taken.is_err() {
            self.bytes.clear();
        }
        taken
    }

    fn take(&mut self, bytes: &[u8], offset: i64, file: &mut impl File) -> Result<(), c_int> {
        let added = offset == after(self.start, &self.bytes);
        if !added || self.bytes.len() + bytes.len() > ROOM {
            self.flush(file)?;
        }
        if offset == 0 {
            // The log begins anew, and somebody may have made the file shorter.
            self.size = 0;
        }
        let header = bytes.len() == FRAME_HEADER;
        if header {
            // Its second number is the size of the database after the transaction, or zero.
            self.last = bytes[4..8] != [0; 4];
        }
        if !added {
            self.start = after(offset, bytes);
            return file.write(bytes, offset);
        }
        self.bytes.extend_from_slice(bytes);
        if self.last && !header {
            self.flush(file)?;
        }
        Ok(())
    }

    /// Writes what is held back. What fails may be tried again: SQLite takes a read that failed
    /// for no reason to give up the transaction, whose frames have to be in the file at its end.
    fn flush(&mut self, file: &mut impl File) -> Result<(), c_int> {
        if !self.bytes.is_empty() {
            file.write(&self.bytes, self.start)?;
            self.start = after(self.start, &self.bytes);
            self.bytes.clear();
            self.lengthen(file);
        }
        Ok(())
    }

    /// Makes the file longer if what was written is at its end, beyond which nobody has anything to
    /// lose. Where that fails, the file is as long as it has to be, which is only slower.
    fn lengthen(&mut self, file: &mut impl File) {
        if self.start <= self.size {
            return;
        }
        let Ok(size) = file.size() else {
            return;
        };
        self.size = size;
        if size > self.start {
            return;
        }
        let zeros = vec![0; 64 * 1024];
        while self.size < self.start + AHEAD && file.write(&zeros, self.size).is_ok() {
            self.size = after(self.size, &zeros);
        }
    }
}

/// Where in a file those bytes end that begin at `start`.
fn after(start: i64, bytes: &[u8]) -> i64 {
    start.saturating_add_unsigned(bytes.len() as u64)
}

/// The file of a log.
trait File {
    /// Writes bytes at an offset, or returns why not.
    fn write(&mut self, bytes: &[u8], offset: i64) -> Result<(), c_int>;

    /// How long it is.
    fn size(&mut self) -> Result<i64, c_int>;
}

/// Does the same as the VFS below.
///
/// # Safety
///
/// As for the function of that.
macro_rules! below {
    ($own:expr, $method:ident($($argument:expr),*)) => {
        match $own.below.$method {
            Some(method) => method($($argument),*),
            None => sqlite::SQLITE_IOERR,
        }
    };
}

/// What an open file has of ours.
///
/// # Safety
///
/// `file` was opened by [`open`], which succeeded, and is not closed while the result is used.
unsafe fn own<'a>(file: *mut sqlite::sqlite3_file) -> &'a Own {
    // SAFETY: as the caller promises: `open` put the pointer there.
    unsafe { &*(*file).pMethods.cast::<Own>() }
}

impl Own {
    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing in it can panic half way.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open log, as the VFS below has it.
struct Below<'a> {
    own: &'a Own,
    file: *mut sqlite::sqlite3_file,
}

impl Below<'_> {
    /// The same file.
    ///
    /// # Safety
    ///
    /// As for [`own`].
    unsafe fn of(file: *mut sqlite::sqlite3_file) -> Self {
        // SAFETY: as the caller promises.
        let own = unsafe { own(file) };
        Self { own, file }
    }
}

impl File for Below<'_> {
    fn write(&mut self, bytes: &[u8], offset: i64) -> Result<(), c_int> {
        let size = c_int::try_from(bytes.len()).map_err(|_| sqlite::SQLITE_IOERR_WRITE)?;
        // SAFETY: the file is open, as `of` was promised, and so many bytes are there.
        done(unsafe {
            below!(
                self.own,
                xWrite(self.file, bytes.as_ptr().cast(), size, offset)
            )
        })
    }

    fn size(&mut self) -> Result<i64, c_int> {
        let mut size = 0;
        // SAFETY: the same, and there is room for the number.
        done(unsafe { below!(self.own, xFileSize(self.file, &raw mut size)) })?;
        Ok(size)
    }
}

/// What a code of SQLite says.
fn done(code: c_int) -> Result<(), c_int> {
    match code {
        sqlite::SQLITE_OK => Ok(()),
        code => Err(code),
    }
}

/// Opens a file: all as below, but for some of what is done with a log, and with the locks of
/// its database.
unsafe extern "C" fn open(
    vfs: *mut sqlite::sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite::sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes what `vfs` registered, and what the VFS below may be given.
    let code = unsafe {
        let below = (*vfs.cast::<Vfs>()).below;
        match (*below).xOpen {
            Some(open) => open(below, name, file, flags, flags_out),
            None => sqlite::SQLITE_CANTOPEN,
        }
    };
    if code != sqlite::SQLITE_OK {
        return code;
    }
    // SAFETY: a file that is open has methods.
    let below = unsafe { *(*file).pMethods };
    let mut methods = below;
    let held = if flags & sqlite::SQLITE_OPEN_MAIN_DB != 0 {
        methods.xShmLock = Some(lock);
        Arc::default()
    } else if flags & sqlite::SQLITE_OPEN_WAL != 0 {
        // SAFETY: of a log, SQLite passes a name that this function takes; its database was
        // opened by the same VFS, with the flag above.
        let own = unsafe {
            let database = sqlite::sqlite3_database_file_object(name);
            let own = own(database);
            let is = below!(own, xDeviceCharacteristics(database));
            if is & sqlite::SQLITE_IOCAP_POWERSAFE_OVERWRITE == 0 {
                return code;
            }
            own
        };
        methods.xRead = Some(read);
        methods.xWrite = Some(write);
        methods.xTruncate = Some(truncate);
        methods.xSync = Some(sync);
        methods.xFileSize = Some(size);
        *own.held() = Held::default();
        Arc::clone(&own.held)
    } else {
        return code;
    };
    methods.xClose = Some(close);
    let own = Box::new(Own {
        methods,
        below,
        held,
    });
    // SAFETY: the file is open, and has these methods until `close` takes them.
    unsafe { (*file).pMethods = Box::into_raw(own).cast() };
    code
}

/// Closes a database or a log.
unsafe extern "C" fn close(file: *mut sqlite::sqlite3_file) -> c_int {
    // SAFETY: `open` put it there, and nobody asks for it after this.
    unsafe {
        let own: *mut Own = (*file).pMethods.cast_mut().cast();
        let code = below!((*own), xClose(file));
        drop(Box::from_raw(own));
        code
    }
}

/// Takes or gives up a lock of the index of a log, which SQLite never does between the first frame
/// of a transaction and the end of that. What is still held back then is of one that was given up,
/// and what the next one writes, and be it another process, takes its place.
unsafe extern "C" fn lock(
    file: *mut sqlite::sqlite3_file,
    first: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: SQLite passes an open file of ours.
    unsafe {
        let own = own(file);
        own.held().bytes.clear();
        below!(own, xShmLock(file, first, count, flags))
    }
}

/// Writes to a log.
unsafe extern "C" fn write(
    file: *mut sqlite::sqlite3_file,
    bytes: *const c_void,
    size: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: SQLite passes an open file of ours, and so many bytes.
    let (mut file, bytes) = unsafe {
        let size = usize::try_from(size).unwrap_or(0);
        (Below::of(file), slice::from_raw_parts(bytes.cast(), size))
    };
    let written = file.own.held().write(bytes, offset, &mut file);
    written.err().unwrap_or(sqlite::SQLITE_OK)
}

/// Defines what is done with a log when nothing of it is held back any more.
macro_rules! flushed {
    ($(#[$doc:meta])* $name:ident = $method:ident($($argument:ident: $type:ty),*)) => {
        $(#[$doc])*
        unsafe extern "C" fn $name(file: *mut sqlite::sqlite3_file $(, $argument: $type)*) -> c_int {
            // SAFETY: SQLite passes an open file of ours, and what the VFS below may be given.
            unsafe {
                let mut below = Below::of(file);
                match below.own.held().flush(&mut below) {
                    Ok(()) => below!(below.own, $method(file $(, $argument)*)),
                    Err(code) => code,
                }
            }
        }
    };
}

flushed! {
    /// Reads from a log.
    read = xRead(into: *mut c_void, size: c_int, offset: i64)
}
flushed! {
    /// Makes a log shorter.
    truncate = xTruncate(size: i64)
}
flushed! {
    /// Waits until what was written to a log is on the disk.
    sync = xSync(flags: c_int)
}
flushed! {
    /// Says how long a log is.
    size = xFileSize(size: *mut i64)
}

#[cfg(test)]
mod tests;
