//! The spelling of a script: quotes, letter case and comments, which do not change its meaning.

use crate::sql::{self, Token, TokenKind};

/// The marks of a text in double quotes. They are replaced last, so that no other quotes replace
/// them.
const DOUBLE_QUOTED: [char; 2] = ['«', '»'];

/// Spells a script in one of many ways.
pub(super) fn spelled(script: &str, style: usize) -> String {
    let mut text = String::new();
    let mut copied = 0;
    let tokens = sql::tokens(script);
    for (at, token) in tokens.iter().enumerate() {
        text.push_str(&script[copied..token.offset]);
        text.push_str(&respelled(token, style * 7 + at));
        copied = token.end();
        // SQLite would make the comment part of the type.
        let ends_type = ["generated", "always"];
        let next = tokens.get(at + 1);
        let ends_type = next.is_some_and(|next| ends_type.iter().any(|word| next.is(word)));
        if style % 5 == 3 && (at + style).is_multiple_of(6) && !ends_type {
            text.push_str([" /* it's, (a) */ ", " -- \"one\", 'two;\n"][at / 6 % 2]);
        }
    }
    text.push_str(&script[copied..]);
    text.replace(DOUBLE_QUOTED, "\"")
}

fn respelled(token: &Token<'_>, choice: usize) -> String {
    let text = token.text;
    let name = token.unquoted();
    match token.kind {
        TokenKind::Quoted if !text.starts_with('"') => text.to_owned(),
        TokenKind::Quoted if choice.is_multiple_of(3) && !name.contains(']') => {
            format!("[{name}]")
        }
        TokenKind::Quoted if choice % 3 == 1 && !name.contains('`') => format!("`{name}`"),
        TokenKind::Word if choice.is_multiple_of(5) && !text.contains(DOUBLE_QUOTED) => {
            text.to_ascii_uppercase()
        }
        _ => text.to_owned(),
    }
}
