//! The declarations that SQLite keeps, read as a schema. Knows the grammar of the CREATE
//! statements, see <https://sqlite.org/lang_createtable.html>; knows no database.
//!
//! It reads what SQLite has accepted, so it does not refuse all that SQLite would.

mod column;
pub(super) mod expression;

use self::expression::{key_columns, without_parentheses};
use super::{Column, Index, Table, Trigger, View};
use crate::sql::{
    self,
    cursor::{Cursor, ParseError},
    directives::Directives,
    operation::created,
};

impl Column {
    /// A table of nothing but this column, with the constraints that stand beside it.
    /// `None` if its declaration was changed into none.
    pub(crate) fn as_single_column_table(&self) -> Option<Table> {
        table(&format!("create table alone ({})", self.sql)).ok()
    }
}

/// A table, from its CREATE TABLE.
pub(super) fn table(statement: &str) -> Result<Table, ParseError> {
    let mut cursor = Cursor::new(statement);
    let (_, name) = created(&mut cursor)?;
    column::table(&mut cursor, name)
}

/// An index, from its CREATE INDEX.
pub(super) fn index(statement: &str) -> Result<Index, ParseError> {
    let unique = sql::tokens(statement)
        .get(1)
        .is_some_and(|token| token.is("unique"));
    let mut cursor = Cursor::new(statement);
    let (_, name) = created(&mut cursor)?;
    cursor.expect("on")?;
    let table = cursor.name()?;
    let columns = key_columns(&mut cursor)?;
    let condition = cursor
        .eat("where")
        .then(|| without_parentheses(cursor.rest()));
    Ok(Index {
        name,
        table,
        unique,
        columns,
        condition,
        sql: statement.to_owned(),
        directives: Directives::from_comments(cursor.comments()),
    })
}

/// A view, from its CREATE VIEW.
pub(super) fn view(statement: &str) -> Result<View, ParseError> {
    let mut cursor = Cursor::new(statement);
    let (_, name) = created(&mut cursor)?;
    Ok(View {
        name,
        body: sql::join(cursor.rest()),
        sql: statement.to_owned(),
        directives: Directives::from_comments(cursor.comments()),
    })
}

/// A trigger, from its CREATE TRIGGER. BEFORE and FOR EACH ROW are what SQLite takes
/// where nothing is said.
pub(super) fn trigger(statement: &str) -> Result<Trigger, ParseError> {
    let mut cursor = Cursor::new(statement);
    let (_, name) = created(&mut cursor)?;
    let mut body = String::new();
    if !(cursor.peek("before") || cursor.peek("after") || cursor.peek("instead")) {
        body.push_str("before ");
    }
    let event = cursor.until(&["on"]);
    body.push_str(&sql::join(event));
    cursor.expect("on")?;
    let table = cursor.name()?;
    if cursor.eat("for") {
        cursor.expect("each")?;
        cursor.expect("row")?;
    }
    let action = sql::join(cursor.rest());
    let body = format!("{body} on {table} {action}");
    Ok(Trigger {
        name,
        table,
        body,
        sql: statement.to_owned(),
        directives: Directives::from_comments(cursor.comments()),
    })
}
