//! The actions that SQLite asks an authorizer about.

use libsqlite3_sys as sqlite;

/// What a part of a statement does. What the names of an [`Action`] are follows from it:
/// see <https://sqlite.org/c3ref/c_alter_table.html>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActionCode {
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

impl ActionCode {
    /// What SQLite means by a number.
    pub(super) fn from_number(number: i32) -> Self {
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
    pub code: ActionCode,
    /// What [`Action::code`] says.
    pub arg1: Option<&'a str>,
    /// What [`Action::code`] says.
    pub arg2: Option<&'a str>,
}
