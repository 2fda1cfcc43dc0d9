//! The actions for which SQLite calls an authorizer.

use libsqlite3_sys as sqlite;

/// The kind of an action. It determines the arguments of an [`Action`], which each variant lists:
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
    /// A function call: no first argument, the function.
    Function,
    /// INSERT: the table.
    Insert,
    /// PRAGMA: its name, its value if it has one.
    Pragma,
    /// A read of a column: the table, the column. The column is empty if a table is read without any
    /// of its columns.
    Read,
    /// A recursive common table expression.
    Recursive,
    /// REINDEX: the index.
    Reindex,
    /// SAVEPOINT, RELEASE or ROLLBACK TO: the operation, the name.
    Savepoint,
    /// SELECT.
    Select,
    /// CREATE or DROP of a temporary index, table, trigger or view: its name, the table.
    Temporary,
    /// BEGIN, COMMIT or ROLLBACK: the operation.
    Transaction,
    /// UPDATE: the table, the column.
    Update,
    /// CREATE or DROP of a virtual table: the table, the module.
    VirtualTable,
    /// A code that this version of the library does not define.
    Unknown,
}

impl ActionCode {
    /// Returns the kind of SQLite's action code.
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

/// An action of a statement, which an authorizer allows or denies. A name that is not UTF-8 is
/// passed as an empty one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action<'a> {
    /// The kind of the action.
    pub code: ActionCode,
    /// The first argument, as the [`ActionCode`] lists it.
    pub arg1: Option<&'a str>,
    /// The second argument, as the [`ActionCode`] lists it.
    pub arg2: Option<&'a str>,
}
