//! The calls of SQLite's C interface that sqlx does not offer, and SQLite's callbacks: the only `unsafe`
//! code of the system.

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

/// A rule that allows or denies an action of a statement.
pub(super) type Rule = Box<dyn Fn(Action<'_>) -> bool + Send + Sync>;

/// The name under which a connection stores its rule.
const RULE: &CStr = c"authorizer";

/// Restricts a connection to the actions that `rule` allows, or removes the restriction.
pub(super) async fn authorize(
    connection: &mut SqliteConnection,
    rule: Option<Rule>,
) -> Result<(), sqlx::Error> {
    let mut handle = connection.lock_handle().await?;
    // The inner box is a fat pointer, and SQLite stores only a thin one.
    let rule = rule.map_or(ptr::null_mut(), |rule| Box::into_raw(Box::new(rule)).cast());
    let handle = handle.as_raw_handle().as_ptr().cast();
    // SAFETY: the handle is open, and its lock keeps sqlx's thread off the connection. First, SQLite
    // stops calling the old rule. Then the connection drops the old rule and owns the new one, which
    // it drops when it is closed, or immediately if it is out of memory. Then SQLite calls the new
    // rule. sqlx finalises all statements before it closes a connection, so no statement can call a
    // dropped rule.
    let code = unsafe {
        sqlite::sqlite3_set_authorizer(handle, None, ptr::null_mut());
        let code = sqlite::sqlite3_set_clientdata(handle, RULE.as_ptr(), rule, Some(drop_rule));
        if code == sqlite::SQLITE_OK && !rule.is_null() {
            sqlite::sqlite3_set_authorizer(handle, Some(authorizer), rule)
        } else {
            code
        }
    };
    if code == sqlite::SQLITE_OK {
        Ok(())
    } else {
        Err(sqlx::Error::Configuration(
            format!("the authorizer cannot be installed: SQLite code {code}").into(),
        ))
    }
}

/// Drops a rule when its connection replaces it or is closed.
///
/// # Safety
///
/// `rule` must come from `authorize`, and have no other user.
unsafe extern "C" fn drop_rule(rule: *mut c_void) {
    // SAFETY: the contract of this function.
    drop(unsafe { Box::from_raw(rule.cast::<Rule>()) });
}

/// Allows or denies an action, for SQLite.
unsafe extern "C" fn authorizer(
    rule: *mut c_void,
    code: c_int,
    arg1: *const c_char,
    arg2: *const c_char,
    _database: *const c_char,
    _trigger: *const c_char,
) -> c_int {
    // SAFETY: `rule` is the pointer that `authorize` passed, and the open connection owns the rule.
    let rule = unsafe { &*rule.cast_const().cast::<Rule>() };
    // SAFETY: SQLite passes null, or a NUL-terminated string that outlives the call.
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
    // SAFETY: the handle is open, and its lock keeps sqlx's thread off the connection.
    let offset = unsafe { sqlite::sqlite3_error_offset(handle.as_raw_handle().as_ptr().cast()) };
    // -1 means that the position is unknown.
    Ok(usize::try_from(offset).ok())
}

/// Returns the text of a C string: `None` for null, and an empty text if it is not UTF-8, since every
/// name of this system is.
///
/// # Safety
///
/// `text` must be null, or a NUL-terminated string that outlives the result.
unsafe fn text<'a>(text: *const c_char) -> Option<&'a str> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the contract of this function.
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
