//! The operations of statements, classified by their text. Knows no database.

use super::{
    cursor::{Cursor, ParseError, names, split},
    name::{Name, ObjectKind},
    token::Token,
};

/// The operation of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create(ObjectKind, Name),
    Drop(ObjectKind, Name),
    RenameTable {
        from: Name,
        to: Name,
    },
    RenameColumn {
        table: Name,
        from: Name,
        to: Name,
    },
    DropColumn {
        table: Name,
        column: Name,
    },
    AddColumn {
        table: Name,
        column: Name,
        /// The byte offset of the declaration in the statement.
        declaration: usize,
    },
    Insert {
        table: Name,
        /// `None` for all columns.
        columns: Option<Vec<Name>>,
        /// The byte offset of VALUES or SELECT in the statement.
        source: usize,
    },
    Update {
        table: Name,
        columns: Vec<Name>,
        everywhere: bool,
    },
    Delete(Name),
    /// Any other statement.
    Other,
}

impl Operation {
    /// Classifies a statement.
    pub(crate) fn classify(statement: &str) -> Self {
        parse(&mut Cursor::new(statement)).unwrap_or(Self::Other)
    }
}

/// Returns the kind and the name of the object that a statement creates, if any.
pub(crate) fn created_object(statement: &str) -> Option<(ObjectKind, Name)> {
    created(&mut Cursor::new(statement)).ok()
}

/// Consumes `create [temp] [unique] table [if not exists] name`. Returns the created object.
///
/// # Errors
///
/// [`ParseError`] if the statement creates no object of a schema.
pub(crate) fn created(cursor: &mut Cursor<'_>) -> Result<(ObjectKind, Name), ParseError> {
    cursor.expect("create")?;
    let _ = cursor.eat("temp") || cursor.eat("temporary");
    let _ = cursor.eat("unique");
    let kind = kind(cursor)?;
    if cursor.eat("if") {
        cursor.expect("not")?;
        cursor.expect("exists")?;
    }
    Ok((kind, cursor.qualified_name()?))
}

fn parse(cursor: &mut Cursor<'_>) -> Result<Operation, ParseError> {
    if cursor.peek("create") {
        let (kind, name) = created(cursor)?;
        return Ok(Operation::Create(kind, name));
    }
    if cursor.eat("drop") {
        let kind = kind(cursor)?;
        let _ = cursor.eat("if") && cursor.eat("exists");
        return Ok(Operation::Drop(kind, cursor.qualified_name()?));
    }
    if cursor.eat("alter") {
        return alter(cursor);
    }
    if cursor.eat("with") {
        cursor.until(&["insert", "replace", "update", "delete", "select"]);
    }
    if cursor.eat("insert") || cursor.eat("replace") {
        return insert(cursor);
    }
    if cursor.eat("update") {
        return update(cursor);
    }
    if cursor.eat("delete") {
        cursor.expect("from")?;
        return Ok(Operation::Delete(cursor.qualified_name()?));
    }
    Ok(Operation::Other)
}

/// Consumes the keyword of an object kind.
fn kind(cursor: &mut Cursor<'_>) -> Result<ObjectKind, ParseError> {
    let mut kinds = [
        ObjectKind::Table,
        ObjectKind::Index,
        ObjectKind::View,
        ObjectKind::Trigger,
    ]
    .into_iter();
    let kind = kinds.find(|kind| cursor.eat(kind.keyword()));
    kind.ok_or_else(|| cursor.unexpected("table"))
}

fn alter(cursor: &mut Cursor<'_>) -> Result<Operation, ParseError> {
    cursor.expect("table")?;
    let table = cursor.qualified_name()?;
    if cursor.eat("rename") {
        return Ok(match cursor.rest() {
            [to, new] if to.is("to") => Operation::RenameTable {
                from: table,
                to: Name::new(&new.unquoted()),
            },
            [.., from, _, to] => Operation::RenameColumn {
                table,
                from: Name::new(&from.unquoted()),
                to: Name::new(&to.unquoted()),
            },
            _ => Operation::Other,
        });
    }
    let drops = cursor.eat("drop");
    if !drops {
        cursor.expect("add")?;
    }
    // The keyword COLUMN is optional, and a column may be named COLUMN.
    if cursor.peek("column") && cursor.second().is_some_and(Token::is_name) {
        cursor.any()?;
    }
    let declaration = cursor.offset();
    let column = cursor.name()?;
    Ok(if drops {
        Operation::DropColumn { table, column }
    } else {
        Operation::AddColumn {
            table,
            column,
            declaration,
        }
    })
}

fn insert(cursor: &mut Cursor<'_>) -> Result<Operation, ParseError> {
    // Skip a conflict clause such as OR IGNORE.
    cursor.until(&["into"]);
    cursor.expect("into")?;
    let table = cursor.qualified_name()?;
    if cursor.eat("as") {
        cursor.any()?;
    }
    let mut columns = None;
    if cursor.peek_symbol("(") {
        columns = Some(names(cursor.parenthesised()?));
    }
    let source = cursor.offset();
    cursor.any()?;
    Ok(Operation::Insert {
        table,
        columns,
        source,
    })
}

fn update(cursor: &mut Cursor<'_>) -> Result<Operation, ParseError> {
    // Skip a conflict clause such as OR IGNORE.
    if cursor.eat("or") {
        cursor.any()?;
    }
    let table = cursor.qualified_name()?;
    cursor.until(&["set"]);
    cursor.expect("set")?;
    let assignments = split(cursor.until(&["from", "where", "returning"]));
    let columns = assignments.into_iter().flat_map(|assignment| {
        let equals = assignment.iter().position(|token| token.is_symbol("="));
        names(&assignment[..equals.unwrap_or(0)])
    });
    let columns = columns.collect();
    cursor.until(&["where"]);
    Ok(Operation::Update {
        table,
        columns,
        everywhere: !cursor.peek("where"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_classified() {
        let name = Name::new;
        for (sql, expected) in [
            (
                "CREATE TABLE IF NOT EXISTS main.\"A\" (b)",
                Operation::Create(ObjectKind::Table, name("a")),
            ),
            (
                "create unique index i on a (b)",
                Operation::Create(ObjectKind::Index, name("i")),
            ),
            (
                "drop view if exists v",
                Operation::Drop(ObjectKind::View, name("v")),
            ),
            (
                "alter table a rename to b",
                Operation::RenameTable {
                    from: name("a"),
                    to: name("b"),
                },
            ),
            (
                "alter table a rename b to c",
                Operation::RenameColumn {
                    table: name("a"),
                    from: name("b"),
                    to: name("c"),
                },
            ),
            (
                "alter table main.a drop column b",
                Operation::DropColumn {
                    table: name("a"),
                    column: name("b"),
                },
            ),
            (
                "alter table a add b text",
                Operation::AddColumn {
                    table: name("a"),
                    column: name("b"),
                    declaration: 18,
                },
            ),
            (
                "with x as (select 1) insert or ignore into a (b, c) select 1, 2",
                Operation::Insert {
                    table: name("a"),
                    columns: Some(vec![name("b"), name("c")]),
                    source: 52,
                },
            ),
            (
                "update or ignore a set b = (select 1 where 1), (c, d) = (1, 2)",
                Operation::Update {
                    table: name("a"),
                    columns: vec![name("b"), name("c"), name("d")],
                    everywhere: true,
                },
            ),
            ("delete from a where b", Operation::Delete(name("a"))),
            ("select 1", Operation::Other),
            ("create virtual table a using b", Operation::Other),
            (
                "ALTER TABLE main.a RENAME COLUMN b TO c",
                Operation::RenameColumn {
                    table: name("a"),
                    from: name("b"),
                    to: name("c"),
                },
            ),
            (
                "alter table A rename to \"b c\"",
                Operation::RenameTable {
                    from: name("a"),
                    to: name("b c"),
                },
            ),
            (
                "alter table rename rename b to c",
                Operation::RenameColumn {
                    table: name("rename"),
                    from: name("b"),
                    to: name("c"),
                },
            ),
            (
                "alter table a drop column",
                Operation::DropColumn {
                    table: name("a"),
                    column: name("column"),
                },
            ),
            ("alter", Operation::Other),
            ("insert into", Operation::Other),
        ] {
            assert_eq!(Operation::classify(sql), expected, "{sql}");
        }
    }
}
