//! The calls into SQLite's C interface that sqlx does not make, and what SQLite calls in turn: the
//! only `unsafe` code of the system.

#![expect(unsafe_code, reason = "a C interface")]

mod backup;

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    ptr,
};

use libsqlite3_sys as sqlite;
use sqlx::SqliteConnection;

pub use self::backup::{BackupProgress, CommittedBackup, OnlineBackup, OnlineBackupError};
use super::action::{Action, ActionCode};

/// A rule on what the statements of a connection may do.
pub(super) type Rule = Box<dyn Fn(Action<'_>) -> bool + Send + Sync>;

/// The name under which a connection keeps its rule.
const RULE: &CStr = c"authorizer";

/// Lets a connection do what `rule` allows, or everything.
pub(super) async fn authorize(
    connection: &mut SqliteConnection,
    rule: Option<Rule>,
) -> Result<(), sqlx::Error> {
    let mut handle = connection.lock_handle().await?;
    // A box in a box, since the pointer to a closure alone has two words.
    let rule = rule.map_or(ptr::null_mut(), |rule| Box::into_raw(Box::new(rule)).cast());
    let handle = handle.as_raw_handle().as_ptr().cast();
    // SAFETY: the handle is open, and its lock keeps the connection's own thread out of it.
    // First nothing asks the old rule any more; then the connection drops it and owns the
    // new one, which it drops when it is closed, or at once if there is no memory; then
    // that one is asked. sqlx finalises all statements before it closes a connection, so
    // none is left to ask a rule that is gone.
    let code = unsafe {
        sqlite::sqlite3_set_authorizer(handle, None, ptr::null_mut());
        let code = sqlite::sqlite3_set_clientdata(handle, RULE.as_ptr(), rule, Some(forget));
        if code == sqlite::SQLITE_OK && !rule.is_null() {
            sqlite::sqlite3_set_authorizer(handle, Some(ask), rule)
        } else {
            code
        }
    };
    if code == sqlite::SQLITE_OK {
        Ok(())
    } else {
        Err(sqlx::Error::Configuration(
            format!("the authorizer is not installed: SQLite code {code}").into(),
        ))
    }
}

/// Drops a rule that no connection needs any more.
///
/// # Safety
///
/// `rule` was made by `authorize` and is used nowhere else.
unsafe extern "C" fn forget(rule: *mut c_void) {
    // SAFETY: as the caller promises.
    drop(unsafe { Box::from_raw(rule.cast::<Rule>()) });
}

/// SQLite's question whether a statement may be prepared.
unsafe extern "C" fn ask(
    rule: *mut c_void,
    code: c_int,
    arg1: *const c_char,
    arg2: *const c_char,
    _database: *const c_char,
    _trigger: *const c_char,
) -> c_int {
    // SAFETY: it is the pointer that `authorize` passed, and the connection, which is open,
    // keeps what is behind it.
    let rule = unsafe { &*rule.cast_const().cast::<Rule>() };
    // SAFETY: SQLite passes null or a text that ends with a zero and outlives the call.
    let action = unsafe {
        Action {
            code: ActionCode::from_number(code),
            arg1: text(arg1),
            arg2: text(arg2),
        }
    };
    if rule(action) {
        sqlite::SQLITE_OK
    } else {
        sqlite::SQLITE_DENY
    }
}

/// Returns the position in its statement of a connection's latest failure, in bytes. Returns
/// `None` if SQLite does not know the position, or if the latest call did not fail.
///
/// # Errors
///
/// If the connection is lost.
pub async fn error_offset(connection: &mut SqliteConnection) -> Result<Option<usize>, sqlx::Error> {
    let mut handle = connection.lock_handle().await?;
    // SAFETY: the handle is open, and its lock keeps the connection's own thread out of it.
    let offset = unsafe { sqlite::sqlite3_error_offset(handle.as_raw_handle().as_ptr().cast()) };
    // -1 means none.
    Ok(usize::try_from(offset).ok())
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

#[cfg(test)]
mod tests {
    use sqlx::Connection;

    use super::*;

    #[tokio::test]
    async fn error_offset_is_the_position_in_the_latest_failed_statement() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();

        let failed = sqlx::raw_sql("select 1, nowhere").execute(&mut connection);
        failed.await.unwrap_err();
        let at = error_offset(&mut connection).await.unwrap();
        let succeeded = sqlx::raw_sql("select 1").execute(&mut connection);
        succeeded.await.unwrap();
        let none = error_offset(&mut connection).await.unwrap();

        assert_eq!((at, none), (Some(10), None));
    }
}
