//! Parses the declarations that SQLite stores. Knows the grammar of the CREATE statements, see
//! <https://sqlite.org/lang_createtable.html>, but no database.
//!
//! SQLite has accepted these declarations, so the parser does not reject every invalid one.

mod column;
pub(super) mod expression;

pub(super) use self::column::normalised_type;
use self::expression::{key_columns, without_parentheses};
use super::{Column, Index, Table, Trigger, View};
use crate::sql::{
    self,
    cursor::{Cursor, ParseError},
    directives::Directives,
    operation::created,
};

impl Column {
    /// Returns a table with only this column and its own constraints, or `None` if the
    /// declaration is
    /// no longer valid.
    pub(crate) fn as_single_column_table(&self) -> Option<Table> {
        table(&format!("create table alone ({})", self.sql)).ok()
    }
}

/// Parses a CREATE TABLE.
pub(super) fn table(statement: &str) -> Result<Table, ParseError> {
    let mut cursor = Cursor::new(statement);
    let (_, name) = created(&mut cursor)?;
    column::table(&mut cursor, name)
}

/// Parses a CREATE INDEX.
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

/// Parses a CREATE VIEW.
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

/// Parses a CREATE TRIGGER. The defaults BEFORE and FOR EACH ROW are made explicit or dropped.
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
