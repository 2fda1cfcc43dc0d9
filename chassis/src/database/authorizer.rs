//! Rules on what the statements of a connection may do, for SQLite itself to enforce.
//!
//! It knows what SQLite asks; it knows no table, and no rule.

use libsqlite3_sys as sqlite;
use sqlx::SqliteConnection;

use super::ffi;

/// What a part of a statement does. What the names of an [`Action`] are follows from it:
/// see <https://sqlite.org/c3ref/c_alter_table.html>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// ALTER TABLE: the database, the table.
    AlterTable,
    /// ANALYZE: the table.
    Analyze,
    /// ATTACH: the file.
    Attach,
    /// CREATE INDEX: the index, its table.
    CreateIndex,
    /// CREATE TABLE: the table.
    CreateTable,
    /// CREATE TRIGGER: the trigger, its table.
    CreateTrigger,
    /// CREATE VIEW: the view.
    CreateView,
    /// DELETE: the table.
    Delete,
    /// DETACH: the database.
    Detach,
    /// DROP INDEX: the index, its table.
    DropIndex,
    /// DROP TABLE: the table.
    DropTable,
    /// DROP TRIGGER: the trigger, its table.
    DropTrigger,
    /// DROP VIEW: the view.
    DropView,
    /// A call of a function: nothing, the function.
    Function,
    /// INSERT: the table.
    Insert,
    /// PRAGMA: its name, its value or nothing.
    Pragma,
    /// A column is read: the table, the column. The column is empty where a table is
    /// read and none of its columns is.
    Read,
    /// A common table expression refers to itself.
    Recursive,
    /// REINDEX: the index.
    Reindex,
    /// SAVEPOINT, RELEASE or ROLLBACK TO: which of them, the name.
    Savepoint,
    /// SELECT.
    Select,
    /// A temporary index, table, trigger or view is made or dropped: its name, the table.
    Temporary,
    /// BEGIN, COMMIT or ROLLBACK: which of them.
    Transaction,
    /// UPDATE: the table, the column.
    Update,
    /// A virtual table is made or dropped: the table, the module.
    VirtualTable,
    /// What this library does not have.
    Unknown,
}

impl Code {
    /// What SQLite means by a number.
    pub(super) fn of(number: i32) -> Self {
        match number {
            sqlite::SQLITE_ALTER_TABLE => Self::AlterTable,
            sqlite::SQLITE_ANALYZE => Self::Analyze,
            sqlite::SQLITE_ATTACH => Self::Attach,
            sqlite::SQLITE_CREATE_INDEX => Self::CreateIndex,
            sqlite::SQLITE_CREATE_TABLE => Self::CreateTable,
            sqlite::SQLITE_CREATE_TRIGGER => Self::CreateTrigger,
            sqlite::SQLITE_CREATE_VIEW => Self::CreateView,
            sqlite::SQLITE_DELETE => Self::Delete,
            sqlite::SQLITE_DETACH => Self::Detach,
            sqlite::SQLITE_DROP_INDEX => Self::DropIndex,
            sqlite::SQLITE_DROP_TABLE => Self::DropTable,
            sqlite::SQLITE_DROP_TRIGGER => Self::DropTrigger,
            sqlite::SQLITE_DROP_VIEW => Self::DropView,
            sqlite::SQLITE_FUNCTION => Self::Function,
            sqlite::SQLITE_INSERT => Self::Insert,
            sqlite::SQLITE_PRAGMA => Self::Pragma,
            sqlite::SQLITE_READ => Self::Read,
            sqlite::SQLITE_RECURSIVE => Self::Recursive,
            sqlite::SQLITE_REINDEX => Self::Reindex,
            sqlite::SQLITE_SAVEPOINT => Self::Savepoint,
            sqlite::SQLITE_SELECT => Self::Select,
            sqlite::SQLITE_CREATE_TEMP_INDEX
            | sqlite::SQLITE_CREATE_TEMP_TABLE
            | sqlite::SQLITE_CREATE_TEMP_TRIGGER
            | sqlite::SQLITE_CREATE_TEMP_VIEW
            | sqlite::SQLITE_DROP_TEMP_INDEX
            | sqlite::SQLITE_DROP_TEMP_TABLE
            | sqlite::SQLITE_DROP_TEMP_TRIGGER
            | sqlite::SQLITE_DROP_TEMP_VIEW => Self::Temporary,
            sqlite::SQLITE_TRANSACTION => Self::Transaction,
            sqlite::SQLITE_UPDATE => Self::Update,
            sqlite::SQLITE_CREATE_VTABLE | sqlite::SQLITE_DROP_VTABLE => Self::VirtualTable,
            _ => Self::Unknown,
        }
    }
}

/// One thing that a statement would do, of those that SQLite asks about. A name that is
/// not UTF-8 is an empty one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action<'a> {
    /// What it does.
    pub code: Code,
    /// What [`Action::code`] says.
    pub first: Option<&'a str>,
    /// What [`Action::code`] says.
    pub second: Option<&'a str>,
    /// The database: `main`, `temp`, or one that is attached.
    pub database: Option<&'a str>,
    /// The innermost trigger or view through which it is done.
    pub trigger: Option<&'a str>,
}

/// Lets a connection do what `rule` allows, and nothing else, until another rule is
/// installed or this one is [removed](remove). SQLite asks when a statement is prepared,
/// so it costs nothing afterwards; statements that are prepared already are asked about
/// again before their next run.
///
/// # Errors
///
/// The connection is lost, or out of memory.
pub async fn install(
    connection: &mut SqliteConnection,
    rule: impl Fn(Action<'_>) -> bool + Send + Sync + 'static,
) -> Result<(), sqlx::Error> {
    ffi::authorize(connection, Some(Box::new(rule))).await
}

/// Lets a connection do everything again.
///
/// # Errors
///
/// The connection is lost.
pub async fn remove(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    ffi::authorize(connection, None).await
}

/// Where in its statement the latest failure of a connection is, in bytes from the
/// statement's beginning; `None` if SQLite cannot say, or if there was none.
///
/// # Errors
///
/// The connection is lost.
pub async fn error_offset(connection: &mut SqliteConnection) -> Result<Option<usize>, sqlx::Error> {
    ffi::error_offset(connection).await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sqlx::{AssertSqlSafe, Connection};

    use super::*;

    async fn memory() -> SqliteConnection {
        SqliteConnection::connect("sqlite::memory:").await.unwrap()
    }

    async fn run(connection: &mut SqliteConnection, sql: &str) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(connection)
            .await?;
        Ok(())
    }

    #[tokio::test]
    async fn a_rule_holds_until_it_is_removed() {
        let mut connection = memory().await;
        run(&mut connection, "create table a (id)").await.unwrap();

        install(&mut connection, |action| {
            !(action.code == Code::Read && action.first == Some("a"))
        })
        .await
        .unwrap();
        let denied = run(&mut connection, "select id from a").await.unwrap_err();
        remove(&mut connection).await.unwrap();
        let allowed = run(&mut connection, "select id from a").await;

        assert!(denied.to_string().contains("prohibited"), "{denied}");
        assert!(allowed.is_ok(), "{allowed:?}");
    }

    #[tokio::test]
    async fn a_rule_goes_when_another_takes_its_place_or_the_connection_is_closed() {
        let mut connection = memory().await;
        let (first, second) = (Arc::new(()), Arc::new(()));

        for kept in [Arc::clone(&first), Arc::clone(&second)] {
            install(&mut connection, move |_| Arc::strong_count(&kept) > 0)
                .await
                .unwrap();
        }
        let counts = (Arc::strong_count(&first), Arc::strong_count(&second));
        connection.close().await.unwrap();

        assert_eq!(counts, (1, 2));
        assert_eq!(Arc::strong_count(&second), 1);
    }

    #[tokio::test]
    async fn a_failure_says_where_in_its_statement_it_is() {
        let mut connection = memory().await;

        run(&mut connection, "select 1, nowhere").await.unwrap_err();
        let at = error_offset(&mut connection).await.unwrap();
        run(&mut connection, "select 1").await.unwrap();
        let nowhere = error_offset(&mut connection).await.unwrap();

        assert_eq!(at, Some(10));
        assert_eq!(nowhere, None);
    }
}
