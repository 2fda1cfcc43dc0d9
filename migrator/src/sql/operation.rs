//! What a statement of a migration does, as far as its text says it. Knows no database.

use super::{
    name::{Name, ObjectKind},
    token::{Kind, Token, tokens},
};

/// What a statement does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
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
        /// Where its declaration begins in the statement, in bytes.
        declaration: usize,
    },
    Insert {
        table: Name,
        /// `None` stands for all of them.
        columns: Option<Vec<Name>>,
        /// Where what is inserted begins in the statement, in bytes.
        source: usize,
    },
    Update {
        table: Name,
        columns: Vec<Name>,
        everywhere: bool,
    },
    Delete(Name),
    /// Nothing of the above.
    Other,
}

/// The tokens of a statement without its comments.
pub(crate) fn words(sql: &str) -> Vec<Token<'_>> {
    let mut tokens = tokens(sql);
    tokens.retain(|token| token.kind != Kind::Comment);
    tokens
}

/// What a statement does.
pub(crate) fn deed(sql: &str) -> Deed {
    let tokens = words(sql);
    parse(&tokens).unwrap_or(Deed::Other)
}

fn parse(tokens: &[Token<'_>]) -> Option<Deed> {
    let (first, rest) = tokens.split_first()?;
    match first.text.to_ascii_lowercase().as_str() {
        "create" => create(rest),
        "drop" => {
            let (kind, rest) = kind(rest)?;
            let rest = skip(rest, &["if", "exists"]);
            Some(Deed::Drop(kind, name(rest)?.0))
        }
        "alter" => alter(skip(rest, &["table"])),
        "insert" | "replace" => insert(rest),
        "update" => update(rest),
        "delete" => Some(Deed::Delete(name(skip(rest, &["from"]))?.0)),
        "with" => {
            let verbs = ["insert", "replace", "update", "delete", "select"];
            let verb = at_top(rest, |token| verbs.iter().any(|verb| token.is(verb)))?;
            parse(&rest[verb..])
        }
        _ => None,
    }
}

fn create(tokens: &[Token<'_>]) -> Option<Deed> {
    let mut rest = tokens;
    for word in ["temp", "temporary", "unique"] {
        rest = skip(rest, &[word]);
    }
    let (kind, rest) = kind(rest)?;
    let rest = skip(rest, &["if", "not", "exists"]);
    Some(Deed::Create(kind, name(rest)?.0))
}

fn alter(tokens: &[Token<'_>]) -> Option<Deed> {
    let (table, rest) = name(tokens)?;
    let (verb, rest) = rest.split_first()?;
    if verb.is("rename") {
        if let [to, new] = rest
            && to.is("to")
        {
            let to = Name::new(&new.unquoted());
            return Some(Deed::RenameTable { from: table, to });
        }
        let [.., from, _, to] = rest else {
            return None;
        };
        return Some(Deed::RenameColumn {
            table,
            from: Name::new(&from.unquoted()),
            to: Name::new(&to.unquoted()),
        });
    }
    // COLUMN may be left out, and may be the column's name.
    let rest = match rest {
        [column, name, ..] if column.is("column") && name.is_name() => &rest[1..],
        _ => rest,
    };
    let first = rest.first()?;
    let column = Name::new(&first.unquoted());
    if verb.is("drop") {
        return Some(Deed::DropColumn { table, column });
    }
    verb.is("add").then_some(Deed::AddColumn {
        table,
        column,
        declaration: first.offset,
    })
}

fn insert(tokens: &[Token<'_>]) -> Option<Deed> {
    let into = tokens.iter().position(|token| token.is("into"))?;
    let (table, mut rest) = name(&tokens[into + 1..])?;
    if let [word, _, after @ ..] = rest
        && word.is("as")
    {
        rest = after;
    }
    let mut columns = None;
    if rest.first().is_some_and(|token| token.is_symbol("(")) {
        let end = rest.iter().position(|token| token.is_symbol(")"))?;
        columns = Some(names(&rest[1..end]));
        rest = &rest[end + 1..];
    }
    Some(Deed::Insert {
        table,
        columns,
        source: rest.first()?.offset,
    })
}

fn update(tokens: &[Token<'_>]) -> Option<Deed> {
    // UPDATE OR IGNORE and so on.
    let tokens = match tokens {
        [or, _, rest @ ..] if or.is("or") => rest,
        _ => tokens,
    };
    let (table, rest) = name(tokens)?;
    let set = at_top(rest, |token| token.is("set"))?;
    let assigned = &rest[set + 1..];
    let end = at_top(assigned, |token| {
        ["from", "where", "returning"]
            .iter()
            .any(|word| token.is(word))
    });
    let assignments = &assigned[..end.unwrap_or(assigned.len())];
    let columns = split(assignments).into_iter().flat_map(|assignment| {
        let equals = assignment.iter().position(|token| token.is_symbol("="));
        names(&assignment[..equals.unwrap_or(0)])
    });
    Some(Deed::Update {
        table,
        columns: columns.collect(),
        everywhere: at_top(assigned, |token| token.is("where")).is_none(),
    })
}

/// `table`, `index` and so on.
fn kind<'t, 'a>(tokens: &'t [Token<'a>]) -> Option<(ObjectKind, &'t [Token<'a>])> {
    let (first, rest) = tokens.split_first()?;
    let kind = [
        ("table", ObjectKind::Table),
        ("index", ObjectKind::Index),
        ("view", ObjectKind::View),
        ("trigger", ObjectKind::Trigger),
    ]
    .into_iter()
    .find(|(word, _)| first.is(word))?;
    Some((kind.1, rest))
}

/// A name, with or without that of the database before it.
fn name<'t, 'a>(tokens: &'t [Token<'a>]) -> Option<(Name, &'t [Token<'a>])> {
    let (name, rest) = match tokens {
        [_, dot, name, rest @ ..] if dot.is_symbol(".") => (name, rest),
        [name, rest @ ..] => (name, rest),
        [] => return None,
    };
    name.is_name().then(|| (Name::new(&name.unquoted()), rest))
}

/// All names in a list.
fn names(tokens: &[Token<'_>]) -> Vec<Name> {
    let names = tokens.iter().filter(|token| token.is_name());
    names.map(|name| Name::new(&name.unquoted())).collect()
}

/// What is after some keywords, if they are there.
fn skip<'t, 'a>(tokens: &'t [Token<'a>], words: &[&str]) -> &'t [Token<'a>] {
    let there = words.len() <= tokens.len() && words.iter().zip(tokens).all(|(w, t)| t.is(w));
    if there {
        &tokens[words.len()..]
    } else {
        tokens
    }
}

/// Where the first token is, of those in no parentheses, that fulfils a condition.
pub(crate) fn at_top(
    tokens: &[Token<'_>],
    mut condition: impl FnMut(&Token<'_>) -> bool,
) -> Option<usize> {
    let mut depth = 0;
    tokens.iter().position(|token| {
        if token.is_symbol("(") {
            depth += 1;
        } else if token.is_symbol(")") {
            depth -= 1;
        }
        depth == 0 && condition(token)
    })
}

/// The parts between the commas that are in no parentheses.
fn split<'t, 'a>(mut tokens: &'t [Token<'a>]) -> Vec<&'t [Token<'a>]> {
    let mut parts = Vec::new();
    while let Some(comma) = at_top(tokens, |token| token.is_symbol(",")) {
        parts.push(&tokens[..comma]);
        tokens = &tokens[comma + 1..];
    }
    parts.push(tokens);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_says_what_it_does() {
        let name = Name::new;
        for (sql, expected) in [
            (
                "CREATE TABLE IF NOT EXISTS main.\"A\" (b)",
                Deed::Create(ObjectKind::Table, name("a")),
            ),
            (
                "create unique index i on a (b)",
                Deed::Create(ObjectKind::Index, name("i")),
            ),
            (
                "drop view if exists v",
                Deed::Drop(ObjectKind::View, name("v")),
            ),
            (
                "alter table a rename to b",
                Deed::RenameTable {
                    from: name("a"),
                    to: name("b"),
                },
            ),
            (
                "alter table a rename b to c",
                Deed::RenameColumn {
                    table: name("a"),
                    from: name("b"),
                    to: name("c"),
                },
            ),
            (
                "alter table main.a drop column b",
                Deed::DropColumn {
                    table: name("a"),
                    column: name("b"),
                },
            ),
            (
                "alter table a add b text",
                Deed::AddColumn {
                    table: name("a"),
                    column: name("b"),
                    declaration: 18,
                },
            ),
            (
                "with x as (select 1) insert or ignore into a (b, c) select 1, 2",
                Deed::Insert {
                    table: name("a"),
                    columns: Some(vec![name("b"), name("c")]),
                    source: 52,
                },
            ),
            (
                "update or ignore a set b = (select 1 where 1), (c, d) = (1, 2)",
                Deed::Update {
                    table: name("a"),
                    columns: vec![name("b"), name("c"), name("d")],
                    everywhere: true,
                },
            ),
            ("delete from a where b", Deed::Delete(name("a"))),
            ("select 1", Deed::Other),
            ("create virtual table a using b", Deed::Other),
            ("alter", Deed::Other),
            ("insert into", Deed::Other),
        ] {
            assert_eq!(deed(sql), expected, "{sql}");
        }
    }
}
