//! Double-quoted texts. SQLite takes `"…"` for a text where no column has that name, see
//! <https://sqlite.org/quirks.html#double_quoted_string_literals_are_accepted>.
//!
//! This module replaces such a text by `'…'`, as SQLite's own ALTER TABLE does. Otherwise a change
//! of its letter case would be mistaken for another spelling of a name.

use std::collections::BTreeSet;

use super::Schema;
use crate::sql::{
    Token, TokenKind, cursor::Cursor, is_keyword, name::Name, operation::created,
    significant_tokens,
};

/// The names of the rowid, which every table has without declaring them.
const ROWID: [&str; 3] = ["rowid", "_rowid_", "oid"];

/// Replaces the texts in the expressions of a CREATE TABLE.
pub(super) fn in_table(sql: &str, columns: &[Name]) -> String {
    let tokens = significant_tokens(sql);
    let mut texts = Vec::new();
    let mut depth = 0_usize;
    // The depth outside the current expression.
    let mut outside = None;
    for (at, token) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| &tokens[at]);
        let starts = |word: &Token<'_>| ["check", "as", "default"].iter().any(|key| word.is(key));
        if token.is_symbol("(") {
            if outside.is_none() && depth > 0 && before.is_some_and(starts) {
                outside = Some(depth);
            }
            depth += 1;
        } else if token.is_symbol(")") {
            depth = depth.saturating_sub(1);
            outside = outside.filter(|outside| *outside < depth);
        } else if is_double_quoted(token) {
            let is_default = depth == 1 && before.is_some_and(|word| word.is("default"));
            let is_text = outside.is_some() && !is_name_position(&tokens, at) && {
                let name = Name::new(&token.unquoted());
                !columns.contains(&name) && !ROWID.contains(&name.folded())
            };
            texts.extend((is_default || is_text).then_some(*token));
        }
    }
    with_texts(sql, &texts)
}

/// Replaces the texts in the expressions of a CREATE INDEX. A whole key column is a name.
pub(super) fn in_index(sql: &str, columns: &[Name]) -> String {
    let tokens = significant_tokens(sql);
    let is_key = |at: usize| {
        let before = at.checked_sub(1).map(|at| &tokens[at]);
        let ends = ["collate", "asc", "desc"];
        before.is_some_and(|before| before.is_symbol("(") || before.is_symbol(","))
            && tokens.get(at + 1).is_some_and(|after| {
                after.is_symbol(",")
                    || after.is_symbol(")")
                    || ends.iter().any(|word| after.is(word))
            })
    };
    let body = tokens.iter().position(|token| token.is_symbol("("));
    let expressions = tokens.iter().enumerate().skip(body.unwrap_or(tokens.len()));
    let texts = expressions.filter(|(at, token)| {
        let name = Name::new(&token.unquoted());
        is_double_quoted(token)
            && !is_name_position(&tokens, *at)
            && !is_key(*at)
            && !columns.contains(&name)
            && !ROWID.contains(&name.folded())
    });
    let texts: Vec<_> = texts.map(|(_, token)| *token).collect();
    with_texts(sql, &texts)
}

/// Replaces the texts in the body of a CREATE VIEW or a CREATE TRIGGER. A name that any object in
/// the body has, or that the body itself gives, is not a text.
pub(super) fn in_body(sql: &str, schema: &Schema) -> String {
    let mut head = Cursor::new(sql);
    if created(&mut head).is_err() {
        return sql.to_owned();
    }
    let body = head.offset();
    let tokens = significant_tokens(sql);
    if !tokens.iter().any(is_double_quoted) {
        return sql.to_owned();
    }
    let mut names = BTreeSet::new();
    names_in_scope(&tokens, schema, &mut BTreeSet::new(), &mut names);
    let texts = tokens.iter().enumerate().filter(|(at, token)| {
        token.offset >= body
            && is_double_quoted(token)
            && !is_name_position(&tokens, *at)
            && !names.contains(&Name::new(&token.unquoted()))
    });
    let texts: Vec<_> = texts.map(|(_, token)| *token).collect();
    with_texts(sql, &texts)
}

/// Collects the columns of the tables that a body names, and the names that it gives.
fn names_in_scope(
    tokens: &[Token<'_>],
    schema: &Schema,
    views: &mut BTreeSet<Name>,
    names: &mut BTreeSet<Name>,
) {
    names.extend(ROWID.iter().map(|name| Name::new(name)));
    let mut in_list = false;
    for (at, token) in tokens.iter().enumerate().rev() {
        let after = tokens.get(at + 1);
        // The column list of a common table expression.
        in_list = (in_list && !token.is_symbol("("))
            || (token.is_symbol(")") && after.is_some_and(|word| word.is("as")));
        if !token.is_name() {
            continue;
        }
        let name = Name::new(&token.unquoted());
        let before = at.checked_sub(1).map(|at| &tokens[at]);
        let is_source = before.is_none_or(names_source);
        if let Some(table) = schema.tables.get(&name).filter(|_| is_source) {
            names.extend(table.columns.iter().map(|column| column.name.clone()));
            names.insert(name.clone());
        } else if let Some(view) = schema.views.get(&name).filter(|_| is_source)
            && views.insert(name.clone())
        {
            names.insert(name.clone());
            let body = significant_tokens(&view.sql);
            let is_name =
                |t: &&Token<'_>| t.is_name() && t.kind != TokenKind::Text && !is_double_quoted(t);
            names.extend(
                body.iter()
                    .filter(is_name)
                    .map(|t| Name::new(&t.unquoted())),
            );
            names_in_scope(&body, schema, views, names);
        }
        let is_row = token.is("new") || token.is("old");
        let is_given = before.is_some_and(|word| word.is("as") || ends_operand(word))
            || after.is_some_and(|word| word.is_symbol(".") && !is_row)
            // A common table expression or a window.
            || (after.is_some_and(|word| word.is("as"))
                && tokens.get(at + 2).is_some_and(|open| open.is_symbol("(")));
        if in_list || is_given {
            names.insert(name);
        }
    }
}

/// Reports whether a name right after this token may be a table or a view. A column may have the
/// name of a table too.
fn names_source(token: &Token<'_>) -> bool {
    const WORDS: [&str; 11] = [
        "from", "join", "into", "update", "on", "in", "abort", "fail", "ignore", "replace",
        "rollback",
    ];
    matches!(token.text, "," | "(" | ".") || WORDS.iter().any(|word| token.is(word))
}

/// Reports whether a name right after this token is an alias.
fn ends_operand(token: &Token<'_>) -> bool {
    match token.kind {
        TokenKind::Word => !is_keyword(token.text) || token.is("end") || token.is("null"),
        TokenKind::Symbol => token.text == ")",
        _ => true,
    }
}

/// Reports whether the token can only be a name: part of a qualified one, a function, a collation or
/// a type.
fn is_name_position(tokens: &[Token<'_>], at: usize) -> bool {
    let before = at.checked_sub(1).map(|at| &tokens[at]);
    let after = tokens.get(at + 1);
    before.is_some_and(|t| t.is_symbol(".") || t.is("collate") || t.is("as"))
        || after.is_some_and(|t| t.is_symbol(".") || t.is_symbol("("))
}

fn is_double_quoted(token: &Token<'_>) -> bool {
    token.kind == TokenKind::Quoted && token.text.starts_with('"')
}

/// Replaces these tokens by texts.
fn with_texts(sql: &str, texts: &[Token<'_>]) -> String {
    let mut replaced = sql.to_owned();
    for token in texts.iter().rev() {
        let text = format!("'{}'", token.unquoted().replace('\'', "''"));
        replaced.replace_range(token.offset..token.end(), &text);
    }
    replaced
}
