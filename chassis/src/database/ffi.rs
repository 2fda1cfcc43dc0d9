//! The calls into SQLite's C interface that sqlx does not make: the only `unsafe` code
//! of the system.

#![expect(unsafe_code, reason = "a C interface")]

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    ptr,
};

use libsqlite3_sys as sqlite;
use sqlx::SqliteConnection;

use super::Access;

/// The version of the library that is linked in, such as `3_051_003` for 3.51.3.
pub(super) fn library_version() -> i32 {
    // SAFETY: it takes nothing and returns a constant of the library.
    unsafe { sqlite::sqlite3_libversion_number() }
}

/// Lets a connection do what `access` allows, and nothing else, for as long as it is
/// open. SQLite asks when a statement is prepared, so it costs nothing afterwards.
pub(super) async fn authorize(
    connection: &mut SqliteConnection,
    access: &'static Access,
) -> Result<(), sqlx::Error> {
    let mut handle = connection.lock_handle().await?;
    // SAFETY: the handle is open, and its lock keeps the connection's own thread out of
    // it. `access` lives for ever, so it outlives the connection; it is shared, and the
    // callback only reads it.
    let code = unsafe {
        sqlite::sqlite3_set_authorizer(
            handle.as_raw_handle().as_ptr().cast(),
            Some(ask),
            ptr::from_ref(access).cast_mut().cast(),
        )
    };
    if code == sqlite::SQLITE_OK {
        Ok(())
    } else {
        Err(sqlx::Error::Configuration(
            format!("the authorizer is not installed: SQLite code {code}").into(),
        ))
    }
}

/// SQLite's question whether a statement may be prepared. What the two texts mean
/// depends on the action: see <https://sqlite.org/c3ref/c_alter_table.html>.
unsafe extern "C" fn ask(
    access: *mut c_void,
    action: c_int,
    first: *const c_char,
    second: *const c_char,
    _database: *const c_char,
    _trigger: *const c_char,
) -> c_int {
    // SAFETY: it is the pointer that `authorize` passed, made from a `&'static Access`.
    let access = unsafe { &*access.cast_const().cast::<Access>() };
    // SAFETY: SQLite passes null or a text that ends with a zero and outlives the call.
    let (first, second) = unsafe { (text(first), text(second)) };
    if access.allows(action, first, second) {
        sqlite::SQLITE_OK
    } else {
        sqlite::SQLITE_DENY
    }
}

/// The text of a C string: `None` for null, and empty for what is not UTF-8, which names
/// nothing of ours.
///
/// # Safety
///
/// `text` is null, or points to a text that ends with a zero and outlives the result.
unsafe fn text<'a>(text: *const c_char) -> Option<&'a str> {
    if text.is_null() {
        return None;
    }
    // SAFETY: as the caller promises.
    Some(unsafe { CStr::from_ptr(text) }.to_str().unwrap_or(""))
}
