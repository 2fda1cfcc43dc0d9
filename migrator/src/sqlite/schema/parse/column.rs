//! Parses the body of a CREATE TABLE: columns and constraints.

use super::expression::{key_columns, single_default, without_parentheses};
use crate::{
    sql::{
        self, Token, TokenKind,
        cursor::{self, Cursor, ParseError},
        directives::Directives,
        name::Name,
    },
    sqlite::schema::{
        Check, Column, ConflictResolution, ForeignKey, Generated, Key, KeyColumn, NotNull,
        ReferentialAction, Table,
    },
};

/// Parses a table from the parenthesis after its name.
pub(super) fn table(cursor: &mut Cursor<'_>, name: Name) -> Result<Table, ParseError> {
    let mut table = Table {
        name,
        columns: Vec::new(),
        primary_key: None,
        uniques: Vec::new(),
        foreign_keys: Vec::new(),
        checks: Vec::new(),
        strict: false,
        without_rowid: false,
        sql: cursor.sql.to_owned(),
        directives: Directives::default(),
    };
    cursor.expect_symbol("(")?;
    let begin = cursor.end();
    // The offsets of each column, or of the constraints between columns.
    let mut spans = Vec::new();
    loop {
        let from = cursor.offset();
        if begins_constraint(cursor) {
            constraints(cursor, &mut table)?;
            spans.push((from, cursor.end(), None));
        } else {
            column(cursor, &mut table)?;
            spans.push((from, cursor.end(), Some(table.columns.len() - 1)));
        }
        if !cursor.eat_symbol(",") {
            break;
        }
    }
    cursor.expect_symbol(")")?;
    options(cursor, &mut table)?;
    if cursor.next().is_some() {
        return Err(cursor.unexpected("the end"));
    }
    comments(cursor, &mut table, begin, &spans);
    Ok(table)
}

/// Parses `strict, without rowid`.
fn options(cursor: &mut Cursor<'_>, table: &mut Table) -> Result<(), ParseError> {
    loop {
        if cursor.eat("strict") {
            table.strict = true;
        } else if cursor.eat("without") {
            cursor.expect("rowid")?;
            table.without_rowid = true;
        }
        if !cursor.eat_symbol(",") {
            return Ok(());
        }
    }
}

/// Assigns each comment to the column on whose lines it is, or else to the next column.
fn comments(
    cursor: &Cursor<'_>,
    table: &mut Table,
    begin: usize,
    spans: &[(usize, usize, Option<usize>)],
) {
    let same_line = |from: usize, to: usize| !cursor.sql[from..to].contains('\n');
    let mut own = Vec::new();
    // For each column: all its comments, and those on lines before it.
    let mut at_columns = vec![(Vec::new(), Vec::new()); table.columns.len()];
    for comment in cursor.comments() {
        let at = comment.offset;
        let before = spans.iter().rev().find(|(from, _, _)| *from <= at);
        let after = spans.iter().find(|(from, _, _)| *from > at);
        let (column, leads) = match (before, after) {
            (Some((_, to, column)), _) if at < *to || same_line(*to, at) => (*column, false),
            (None, _) if at < begin || same_line(begin, at) => {
                own.push(*comment);
                (None, false)
            }
            (_, Some((_, _, column))) => (*column, true),
            _ => (None, false),
        };
        if let Some((comments, lines)) = column.and_then(|column| at_columns.get_mut(column)) {
            comments.push(*comment);
            lines.extend(leads.then(|| comment.text.to_owned()));
        }
    }
    table.directives = Directives::from_comments(&own);
    for (column, (comments, lines)) in table.columns.iter_mut().zip(at_columns) {
        column.directives = Directives {
            lines,
            ..Directives::from_comments(&comments)
        };
    }
}

fn begins_constraint(cursor: &Cursor<'_>) -> bool {
    ["constraint", "primary", "unique", "check", "foreign"]
        .iter()
        .any(|keyword| cursor.peek(keyword))
}

/// Parses table constraints, which SQLite accepts even without a comma between them.
fn constraints(cursor: &mut Cursor<'_>, table: &mut Table) -> Result<(), ParseError> {
    while begins_constraint(cursor) {
        let name = constraint_name(cursor)?;
        if ends_item(cursor) {
            break;
        }
        if cursor.eat("primary") {
            cursor.expect("key")?;
            let (columns, autoincrement) = table_key(cursor)?;
            let conflict = conflict(cursor)?;
            table.primary_key = Some(Key {
                name,
                columns,
                autoincrement,
                conflict,
            });
        } else if cursor.eat("unique") {
            let columns = key_columns(cursor)?;
            table.uniques.push(unique(cursor, name, columns)?);
        } else if cursor.eat("check") {
            table.checks.push(check(cursor, name)?);
        } else {
            cursor.expect("foreign")?;
            cursor.expect("key")?;
            let columns = names(cursor)?;
            let key = reference(cursor, name, columns)?;
            table.foreign_keys.push(key);
        }
    }
    Ok(())
}

/// Parses `(a, b)` or `(a autoincrement)`.
fn table_key(cursor: &mut Cursor<'_>) -> Result<(Vec<KeyColumn>, bool), ParseError> {
    let mut columns = key_columns(cursor)?;
    let mut autoincrement = false;
    if let [only] = columns.as_mut_slice() {
        if let Some(name) = only.expression.strip_suffix(" autoincrement") {
            only.expression = name.to_owned();
            autoincrement = true;
        }
        // As a table constraint, a DESC key on an INTEGER is still an alias of the rowid.
        only.descending = false;
    }
    Ok((columns, autoincrement))
}

fn unique(
    cursor: &mut Cursor<'_>,
    name: Option<Name>,
    columns: Vec<KeyColumn>,
) -> Result<Key, ParseError> {
    Ok(Key {
        name,
        columns,
        autoincrement: false,
        conflict: conflict(cursor)?,
    })
}

/// Parses `constraint name`. Of several names, the last one counts.
fn constraint_name(cursor: &mut Cursor<'_>) -> Result<Option<Name>, ParseError> {
    let mut name = None;
    while cursor.eat("constraint") {
        name = Some(cursor.name()?);
    }
    Ok(name)
}

/// Reports whether the list item ends here, as after a constraint name without a constraint.
fn ends_item(cursor: &Cursor<'_>) -> bool {
    cursor.peek_symbol(",") || cursor.peek_symbol(")")
}

fn check(cursor: &mut Cursor<'_>, name: Option<Name>) -> Result<Check, ParseError> {
    let expression = without_parentheses(cursor.parenthesised()?);
    // SQLite accepts a conflict clause here and ignores it.
    conflict(cursor)?;
    Ok(Check { name, expression })
}

/// Parses `on conflict replace`.
fn conflict(cursor: &mut Cursor<'_>) -> Result<ConflictResolution, ParseError> {
    if !cursor.peek_both("on", "conflict") {
        return Ok(ConflictResolution::Abort);
    }
    cursor.expect("on")?;
    cursor.expect("conflict")?;
    let word = cursor.any()?.text.to_ascii_lowercase();
    match word.as_str() {
        "rollback" => Ok(ConflictResolution::Rollback),
        "abort" => Ok(ConflictResolution::Abort),
        "fail" => Ok(ConflictResolution::Fail),
        "ignore" => Ok(ConflictResolution::Ignore),
        "replace" => Ok(ConflictResolution::Replace),
        _ => Err(format!("`{word}` is not a conflict resolution")),
    }
}

/// Parses `(a, b)`.
fn names(cursor: &mut Cursor<'_>) -> Result<Vec<Name>, ParseError> {
    Ok(cursor::names(cursor.parenthesised()?))
}

/// Parses `references users (id) on delete restrict deferrable initially deferred`.
fn reference(
    cursor: &mut Cursor<'_>,
    name: Option<Name>,
    columns: Vec<Name>,
) -> Result<ForeignKey, ParseError> {
    cursor.expect("references")?;
    let table = cursor.name()?;
    let references = if cursor.peek_symbol("(") {
        names(cursor)?
    } else {
        Vec::new()
    };
    let mut key = ForeignKey {
        name,
        columns,
        table,
        references,
        on_update: ReferentialAction::Nothing,
        on_delete: ReferentialAction::Nothing,
        deferred: false,
    };
    loop {
        if cursor.eat("match") {
            // SQLite accepts MATCH and ignores it.
            cursor.name()?;
        } else if cursor.peek_both("on", "delete") || cursor.peek_both("on", "update") {
            cursor.expect("on")?;
            let delete = cursor.eat("delete") || !cursor.eat("update");
            let action = action(cursor)?;
            if delete {
                key.on_delete = action;
            } else {
                key.on_update = action;
            }
        } else {
            break;
        }
    }
    let never = cursor.peek_both("not", "deferrable") && cursor.eat("not");
    if cursor.eat("deferrable") && cursor.eat("initially") {
        key.deferred = cursor.any()?.is("deferred") && !never;
    }
    Ok(key)
}

fn action(cursor: &mut Cursor<'_>) -> Result<ReferentialAction, ParseError> {
    if cursor.eat("set") {
        if cursor.eat("null") {
            return Ok(ReferentialAction::SetNull);
        }
        cursor.expect("default")?;
        return Ok(ReferentialAction::SetDefault);
    }
    if cursor.eat("cascade") {
        return Ok(ReferentialAction::Cascade);
    }
    if cursor.eat("restrict") {
        return Ok(ReferentialAction::Restrict);
    }
    cursor.expect("no")?;
    cursor.expect("action")?;
    Ok(ReferentialAction::Nothing)
}

/// Parses a column with its constraints. Keys, checks and references become the table's.
fn column(cursor: &mut Cursor<'_>, table: &mut Table) -> Result<(), ParseError> {
    let from = cursor.offset();
    let name = cursor.name()?;
    let type_name = type_name(cursor)?;
    let mut column = Column {
        name,
        type_name,
        not_null: None,
        default: None,
        collation: None,
        generated: None,
        sql: String::new(),
        directives: Directives::default(),
    };
    while !ends_item(cursor) {
        column_constraint(cursor, table, &mut column)?;
    }
    let sql = cursor.sql[from..cursor.end()].to_owned();
    table.columns.push(Column { sql, ..column });
    Ok(())
}

/// Parses the words up to the first constraint, and the numbers in parentheses after them.
fn type_name(cursor: &mut Cursor<'_>) -> Result<String, ParseError> {
    const ENDS: [&str; 10] = [
        "constraint",
        "primary",
        "not",
        "null",
        "unique",
        "check",
        "default",
        "collate",
        "references",
        "generated",
    ];
    let mut words = Vec::new();
    while let Some(token) = cursor.next().copied() {
        let word = token.is_name() && !token.is("as") && !ENDS.iter().any(|end| token.is(end));
        if word {
            words.push(cursor.any()?);
        } else if token.is_symbol("(") && !words.is_empty() {
            words.push(token);
            words.extend(cursor.parenthesised()?);
            words.push(Token { text: ")", ..token });
        } else {
            break;
        }
    }
    Ok(normalised_type(&words))
}

/// Joins the tokens of a type in one spelling. SQLite keeps the quotes of a type, which therefore
/// count.
pub(in crate::sqlite::schema) fn normalised_type(tokens: &[Token<'_>]) -> String {
    let mut joined = String::new();
    let mut is_tight = true;
    for token in tokens {
        let joins = [")", "(", ","].iter().any(|symbol| token.is_symbol(symbol));
        if !is_tight && !joins && !token.text.starts_with('[') {
            joined.push(' ');
        }
        joined.push_str(&token.text.to_ascii_lowercase());
        is_tight = token.kind == TokenKind::Symbol;
    }
    joined
}

fn column_constraint(
    cursor: &mut Cursor<'_>,
    table: &mut Table,
    column: &mut Column,
) -> Result<(), ParseError> {
    let name = constraint_name(cursor)?;
    if ends_item(cursor) {
        return Ok(());
    }
    let this = |descending| {
        vec![KeyColumn {
            expression: column.name.to_string(),
            collation: None,
            descending,
        }]
    };
    if cursor.eat("primary") {
        cursor.expect("key")?;
        let descending = cursor.eat("desc");
        let _ = cursor.eat("asc");
        let columns = this(descending);
        let conflict = conflict(cursor)?;
        let autoincrement = cursor.eat("autoincrement");
        table.primary_key = Some(Key {
            name,
            columns,
            autoincrement,
            conflict,
        });
    } else if cursor.eat("not") {
        cursor.expect("null")?;
        let conflict = conflict(cursor)?;
        column.not_null = Some(NotNull { name, conflict });
    } else if cursor.eat("null") {
        conflict(cursor)?;
    } else if cursor.eat("unique") {
        table.uniques.push(unique(cursor, name, this(false))?);
    } else if cursor.eat("check") {
        table.checks.push(check(cursor, name)?);
    } else if cursor.eat("default") {
        column.default = Some(default(cursor)?).filter(|default| default != "null");
    } else if cursor.eat("collate") {
        let collation = cursor.name()?;
        column.collation = Some(collation).filter(|name| name.folded() != "binary");
    } else if cursor.peek("references") {
        let key = reference(cursor, name, vec![column.name.clone()])?;
        table.foreign_keys.push(key);
    } else {
        if cursor.eat("generated") {
            cursor.expect("always")?;
        }
        cursor.expect("as")?;
        let expression = without_parentheses(cursor.parenthesised()?);
        let stored = cursor.eat("stored");
        let _ = cursor.eat("virtual");
        column.generated = Some(Generated { expression, stored });
    }
    Ok(())
}

/// Parses a literal, a signed number, a name that means its text, or an expression in parentheses.
fn default(cursor: &mut Cursor<'_>) -> Result<String, ParseError> {
    if cursor.peek_symbol("(") {
        return Ok(without_parentheses(cursor.parenthesised()?));
    }
    let first = cursor.any()?;
    if first.kind == TokenKind::Symbol {
        return Ok(sql::join(&[first, cursor.any()?]));
    }
    Ok(single_default(&first))
}
