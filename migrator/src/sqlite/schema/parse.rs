//! The declarations that SQLite keeps, read as a schema. Knows the grammar of the CREATE
//! statements, see <https://sqlite.org/lang_createtable.html>; knows no database.
//!
//! It reads what SQLite has accepted, so it does not refuse all that SQLite would.

mod column;

use super::{Index, KeyColumn, Name, ObjectKind, Table, Trigger, View};
use crate::sql::{
    self,
    cursor::{self, Cursor, Why},
    directives::remark,
};

/// The kind and the name of what a statement creates, or `None` if it creates nothing
/// that a schema has.
pub(crate) fn object(statement: &str) -> Option<(ObjectKind, Name)> {
    head(&mut Cursor::new(statement)).ok()
}

/// Everything up to the name: `create [temp] [unique] table [if not exists] name`.
fn head(cursor: &mut Cursor<'_>) -> Result<(ObjectKind, Name), Why> {
    cursor.expect("create")?;
    let _ = cursor.eat("temp") || cursor.eat("temporary");
    let _ = cursor.eat("unique");
    let kind = if cursor.eat("table") {
        ObjectKind::Table
    } else if cursor.eat("index") {
        ObjectKind::Index
    } else if cursor.eat("view") {
        ObjectKind::View
    } else {
        cursor.expect("trigger")?;
        ObjectKind::Trigger
    };
    if cursor.eat("if") {
        cursor.expect("not")?;
        cursor.expect("exists")?;
    }
    let mut name = cursor.name()?;
    if cursor.eat_symbol(".") {
        name = cursor.name()?;
    }
    Ok((kind, name))
}

/// A table, from its CREATE TABLE.
pub(super) fn table(statement: &str) -> Result<Table, Why> {
    let mut cursor = Cursor::new(statement);
    let (_, name) = head(&mut cursor)?;
    column::table(&mut cursor, name)
}

/// An index, from its CREATE INDEX.
pub(super) fn index(statement: &str) -> Result<Index, Why> {
    let unique = sql::tokens(statement)
        .get(1)
        .is_some_and(|token| token.is("unique"));
    let mut cursor = Cursor::new(statement);
    let (_, name) = head(&mut cursor)?;
    cursor.expect("on")?;
    let table = cursor.name()?;
    let columns = key_columns(&mut cursor)?;
    let condition = cursor.eat("where").then(|| bare(cursor.rest()));
    Ok(Index {
        name,
        table,
        unique,
        columns,
        condition,
        sql: statement.to_owned(),
        remark: remark(cursor.comments()),
    })
}

/// A view, from its CREATE VIEW.
pub(super) fn view(statement: &str) -> Result<View, Why> {
    let mut cursor = Cursor::new(statement);
    let (_, name) = head(&mut cursor)?;
    Ok(View {
        name,
        body: sql::join(cursor.rest()),
        sql: statement.to_owned(),
        remark: remark(cursor.comments()),
    })
}

/// A trigger, from its CREATE TRIGGER. BEFORE and FOR EACH ROW are what SQLite takes
/// where nothing is said.
pub(super) fn trigger(statement: &str) -> Result<Trigger, Why> {
    let mut cursor = Cursor::new(statement);
    let (_, name) = head(&mut cursor)?;
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
        remark: remark(cursor.comments()),
    })
}

/// `(a, b collate nocase desc, lower(c))`.
fn key_columns(cursor: &mut Cursor<'_>) -> Result<Vec<KeyColumn>, Why> {
    let inside = cursor.parenthesised()?;
    let parts = cursor::split(inside);
    let column = |mut tokens: &[sql::Token<'_>]| {
        let mut descending = false;
        if let [rest @ .., last] = tokens
            && (last.is("asc") || last.is("desc"))
        {
            descending = last.is("desc");
            tokens = rest;
        }
        let mut collation = None;
        if let [rest @ .., keyword, name] = tokens
            && keyword.is("collate")
        {
            collation = Some(Name::new(&name.unquoted()));
            tokens = rest;
        }
        let expression = match tokens {
            // A text is a name here.
            [name] if name.is_name() => Name::new(&name.unquoted()).to_string(),
            _ => bare(tokens),
        };
        KeyColumn {
            expression,
            collation,
            descending,
        }
    };
    Ok(parts.into_iter().map(column).collect())
}

/// An expression, normalised and without the parentheses that are around all of it.
fn bare(mut tokens: &[sql::Token<'_>]) -> String {
    while let [open, inside @ .., close] = tokens
        && open.is_symbol("(")
        && close.is_symbol(")")
        && cursor::is_balanced(inside)
    {
        tokens = inside;
    }
    sql::join(tokens)
}

/// A default as `PRAGMA table_info` shows it, normalised.
pub(super) fn default(shown: &str) -> String {
    match Cursor::new(shown).rest() {
        [only] => single_default(only),
        tokens => bare(tokens),
    }
}

/// A default of one token. A name stands for its text, unless it is one of these words.
fn single_default(token: &sql::Token<'_>) -> String {
    const MEANT: [&str; 6] = [
        "null",
        "true",
        "false",
        "current_time",
        "current_date",
        "current_timestamp",
    ];
    let meant = MEANT.iter().any(|word| token.is(word));
    let name = matches!(token.kind, sql::Kind::Word | sql::Kind::Quoted);
    if name && !meant {
        return format!("'{}'", token.unquoted().replace('\'', "''"));
    }
    token.canonical()
}
