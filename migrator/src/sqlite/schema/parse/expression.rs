//! Parses expressions in declarations: columns of keys and indexes, conditions and defaults.

use crate::{
    sql::{
        self, Token, TokenKind,
        cursor::{self, Cursor, ParseError},
        name::Name,
    },
    sqlite::schema::KeyColumn,
};

/// Parses `(a, b collate nocase desc, lower(c))`.
pub(super) fn key_columns(cursor: &mut Cursor<'_>) -> Result<Vec<KeyColumn>, ParseError> {
    let inside = cursor.parenthesised()?;
    let parts = cursor::split(inside);
    let column = |mut tokens: &[Token<'_>]| {
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
            // A string literal is a name here.
            [name] if name.is_name() => Name::new(&name.unquoted()).to_string(),
            _ => without_parentheses(tokens),
        };
        KeyColumn {
            expression,
            collation,
            descending,
        }
    };
    Ok(parts.into_iter().map(column).collect())
}

/// Normalises an expression, and removes the parentheses around all of it.
pub(super) fn without_parentheses(mut tokens: &[Token<'_>]) -> String {
    while let [open, inside @ .., close] = tokens
        && open.is_symbol("(")
        && close.is_symbol(")")
        && cursor::is_balanced(inside)
    {
        tokens = inside;
    }
    with_quoted_names(&sql::join(tokens))
}

/// Quotes the keywords that are names in an expression, as SQLite does when it renames a column.
fn with_quoted_names(expression: &str) -> String {
    let tokens = sql::tokens(expression);
    let mut quoted = expression.to_owned();
    for (at, token) in tokens.iter().enumerate().rev() {
        let calls = tokens.get(at + 1).is_some_and(|next| next.is_symbol("("));
        if !calls && NAMES.iter().any(|name| token.is(name)) {
            quoted.replace_range(token.offset..token.end(), &sql::quoted(token.text));
        }
    }
    quoted
}

/// The keywords that are names in an expression without a subquery, see the fallbacks in
/// <https://sqlite.org/src/file/src/parse.y>.
const NAMES: [&str; 65] = [
    "abort",
    "action",
    "after",
    "always",
    "analyze",
    "attach",
    "before",
    "begin",
    "by",
    "cascade",
    "column",
    "conflict",
    "database",
    "deferred",
    "detach",
    "do",
    "each",
    "except",
    "exclude",
    "exclusive",
    "explain",
    "fail",
    "first",
    "following",
    "for",
    "generated",
    "groups",
    "if",
    "ignore",
    "immediate",
    "initially",
    "instead",
    "intersect",
    "key",
    "last",
    "materialized",
    "no",
    "nulls",
    "of",
    "offset",
    "others",
    "partition",
    "plan",
    "pragma",
    "preceding",
    "query",
    "range",
    "recursive",
    "reindex",
    "release",
    "rename",
    "replace",
    "restrict",
    "rollback",
    "row",
    "rows",
    "savepoint",
    "temp",
    "ties",
    "trigger",
    "unbounded",
    "union",
    "vacuum",
    "view",
    "virtual",
];

/// Normalises a default as `PRAGMA table_info` shows it.
pub(in crate::sqlite::schema) fn default(shown: &str) -> String {
    match Cursor::new(shown).rest() {
        [only] => single_default(only),
        tokens => without_parentheses(tokens),
    }
}

/// Normalises a default of one token. A name means its text, unless it is one of these words.
pub(super) fn single_default(token: &Token<'_>) -> String {
    const MEANT: [&str; 6] = [
        "null",
        "true",
        "false",
        "current_time",
        "current_date",
        "current_timestamp",
    ];
    let meant = MEANT.iter().any(|word| token.is(word));
    let name = matches!(token.kind, TokenKind::Word | TokenKind::Quoted);
    if name && !meant {
        return format!("'{}'", token.unquoted().replace('\'', "''"));
    }
    token.canonical()
}
