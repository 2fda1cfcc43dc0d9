//! The tokenizer of SQL. Follows the lexical rules of SQLite's own tokenizer, see
//! <https://sqlite.org/lang.html> and <https://sqlite.org/lang_keywords.html>.

use super::keywords::is_keyword;

/// The characters between tokens. SQLite also skips a byte order mark.
const BLANKS: [char; 6] = [' ', '\t', '\n', '\r', '\x0C', '\u{feff}'];

/// The kinds of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A keyword or an unquoted name.
    Word,
    /// A quoted name: `"…"`, `` `…` `` or `[…]`.
    Quoted,
    /// A string literal: `'…'`.
    Text,
    /// A number.
    Number,
    /// A blob literal: `x'…'`.
    Blob,
    /// A parameter, such as `?1` or `:name`.
    Parameter,
    /// An operator or a punctuation mark.
    Symbol,
    /// `-- …` without its line break, or `/* … */`.
    Comment,
}

/// A token of SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: TokenKind,
    /// The original text.
    pub(crate) text: &'a str,
    /// The byte offset of the start.
    pub(crate) offset: usize,
}

impl Token<'_> {
    /// Returns the byte offset of the end.
    pub(crate) fn end(&self) -> usize {
        self.offset + self.text.len()
    }

    /// Reports whether the token is `keyword`, given in lower case.
    pub(crate) fn is(&self, keyword: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(keyword)
    }

    /// Reports whether the token is this operator or punctuation mark.
    pub(crate) fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == TokenKind::Symbol && self.text == symbol
    }

    /// Reports whether the token can be a name. SQLite also accepts string literals.
    pub(crate) fn is_name(&self) -> bool {
        matches!(
            self.kind,
            TokenKind::Word | TokenKind::Quoted | TokenKind::Text
        )
    }

    /// Returns the text without quotes.
    pub(crate) fn unquoted(&self) -> String {
        let quote = match self.kind {
            TokenKind::Quoted | TokenKind::Text => self.text.chars().next(),
            _ => None,
        };
        let Some(open) = quote else {
            return self.text.to_owned();
        };
        let close = if open == '[' { ']' } else { open };
        let inner = self.text.get(1..).unwrap_or_default();
        let inner = inner.strip_suffix(close).unwrap_or(inner);
        if open == '[' {
            return inner.to_owned();
        }
        inner.replace(&format!("{open}{open}"), &open.to_string())
    }

    /// Returns the canonical spelling: lower case, without unnecessary quotes, and with one spelling
    /// of each operator.
    pub(crate) fn canonical(&self) -> String {
        match self.kind {
            TokenKind::Word | TokenKind::Blob | TokenKind::Number => self.text.to_ascii_lowercase(),
            TokenKind::Quoted => quoted(&self.unquoted().to_ascii_lowercase()),
            TokenKind::Symbol => match self.text {
                "==" => "=".into(),
                "!=" => "<>".into(),
                symbol => symbol.into(),
            },
            TokenKind::Text | TokenKind::Parameter | TokenKind::Comment => self.text.into(),
        }
    }
}

/// Returns all tokens of `sql` in order, including comments. An invalid character becomes a symbol,
/// which SQLite then rejects.
pub(crate) fn tokens(sql: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut offset = 0;
    while let Some(rest) = sql.get(offset..).filter(|rest| !rest.is_empty()) {
        let blank = rest.len() - rest.trim_start_matches(BLANKS).len();
        if blank > 0 {
            offset += blank;
            continue;
        }
        let (kind, length) = first(rest);
        let (text, _) = rest.split_at(length);
        tokens.push(Token { kind, text, offset });
        offset += length;
    }
    #[cfg(test)]
    work::count(tokens.len());
    tokens
}

/// Counts the tokens that a test's thread has read: a measure of work that no load disturbs.
#[cfg(test)]
pub(crate) mod work {
    use std::cell::Cell;

    thread_local! {
        static TOKENS: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn count(tokens: usize) {
        TOKENS.set(TOKENS.get() + tokens);
    }

    /// Returns the number of tokens so far.
    pub(crate) fn tokens() -> usize {
        TOKENS.get()
    }
}

/// Returns the tokens of `sql` in order, without comments.
pub(crate) fn significant_tokens(sql: &str) -> Vec<Token<'_>> {
    let mut tokens = tokens(sql);
    tokens.retain(|token| token.kind != TokenKind::Comment);
    tokens
}

/// Returns the kind and the length in bytes of the first token of `rest`.
fn first(rest: &str) -> (TokenKind, usize) {
    let bytes = rest.as_bytes();
    let second = bytes.get(1).copied().unwrap_or_default();
    match bytes[0] {
        b'-' if second == b'-' => (TokenKind::Comment, rest.find('\n').unwrap_or(rest.len())),
        b'/' if second == b'*' => {
            let end = rest[2..].find("*/").map_or(rest.len(), |at| at + 4);
            (TokenKind::Comment, end)
        }
        b'\'' => (TokenKind::Text, closed(rest, b'\'')),
        quote @ (b'"' | b'`') => (TokenKind::Quoted, closed(rest, quote)),
        b'[' => (
            TokenKind::Quoted,
            rest.find(']').map_or(rest.len(), |end| end + 1),
        ),
        b'x' | b'X' if second == b'\'' => (TokenKind::Blob, 1 + closed(&rest[1..], b'\'')),
        b'0'..=b'9' => (TokenKind::Number, number(bytes)),
        b'.' if second.is_ascii_digit() => (TokenKind::Number, number(bytes)),
        b'?' | b':' | b'@' | b'$' | b'#' => (
            TokenKind::Parameter,
            1 + word(&rest[1..]).max(digits(&bytes[1..])),
        ),
        byte if starts_word(byte) => (TokenKind::Word, word(rest)),
        _ => (TokenKind::Symbol, symbol(rest)),
    }
}

/// Returns the length of a quoted token. A doubled quote does not end it.
fn closed(rest: &str, quote: u8) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        if bytes[at] == quote {
            if bytes.get(at + 1) != Some(&quote) {
                return at + 1;
            }
            at += 1;
        }
        at += 1;
    }
    rest.len()
}

/// Returns the length of a number: decimal with a point, an exponent and `_` between digits, or
/// hexadecimal.
fn number(bytes: &[u8]) -> usize {
    if bytes[0] == b'0' && matches!(bytes.get(1), Some(b'x' | b'X')) {
        let hex = |byte: &&u8| byte.is_ascii_hexdigit() || **byte == b'_';
        return 2 + bytes[2..].iter().take_while(hex).count();
    }
    let mut at = digits(bytes);
    if bytes.get(at) == Some(&b'.') {
        at += 1 + digits(&bytes[at + 1..]);
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(&bytes[(at + 1 + sign).min(bytes.len())..]);
        if exponent > 0 {
            at += 1 + sign + exponent;
        }
    }
    at
}

fn digits(bytes: &[u8]) -> usize {
    let digit = |byte: &&u8| byte.is_ascii_digit() || **byte == b'_';
    bytes.iter().take_while(digit).count()
}

fn starts_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

/// Returns the length of a word, or 0.
fn word(rest: &str) -> usize {
    let inside = |byte: &u8| starts_word(*byte) || byte.is_ascii_digit() || *byte == b'$';
    rest.bytes().take_while(inside).count()
}

fn symbol(rest: &str) -> usize {
    const LONG: [&str; 10] = ["->>", "->", "||", "<=", ">=", "<>", "!=", "==", "<<", ">>"];
    let long = LONG.iter().find(|symbol| rest.starts_with(**symbol));
    long.map_or_else(
        || rest.chars().next().map_or(1, char::len_utf8),
        |symbol| symbol.len(),
    )
}

/// Quotes a name if SQLite requires it.
pub(crate) fn quoted(name: &str) -> String {
    let plain = word(name) == name.len()
        && name.bytes().next().is_some_and(starts_word)
        && name.is_ascii()
        && !is_keyword(name);
    if plain {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(sql: &str) -> Vec<(TokenKind, &str)> {
        tokens(sql).iter().map(|t| (t.kind, t.text)).collect()
    }

    #[test]
    fn each_kind_of_token_is_recognised() {
        for (sql, expected) in [
            ("users", TokenKind::Word),
            ("größe", TokenKind::Word),
            ("a$1", TokenKind::Word),
            ("\"a \"\" b\"", TokenKind::Quoted),
            ("[a b]", TokenKind::Quoted),
            ("`a``b`", TokenKind::Quoted),
            ("'it''s; -- no comment'", TokenKind::Text),
            ("x'00ff'", TokenKind::Blob),
            ("1_000.5e-3", TokenKind::Number),
            (".5", TokenKind::Number),
            ("0xFF", TokenKind::Number),
            ("?12", TokenKind::Parameter),
            (":name", TokenKind::Parameter),
            ("->>", TokenKind::Symbol),
            ("||", TokenKind::Symbol),
            ("-- to the end", TokenKind::Comment),
            ("/* a\nb */", TokenKind::Comment),
            ("/* without an end", TokenKind::Comment),
            ("'without an end", TokenKind::Text),
            ("\u{1}", TokenKind::Symbol),
        ] {
            assert_eq!(kinds(sql), [(expected, sql)], "{sql}");
        }
    }

    #[test]
    fn tokens_need_no_whitespace_between_them() {
        let texts: Vec<_> = tokens("a<=b||'c'--d\n,1e").iter().map(|t| t.text).collect();

        assert_eq!(texts, ["a", "<=", "b", "||", "'c'", "--d", ",", "1", "e"]);
    }

    #[test]
    fn malformed_text_is_tokenized_without_loss() {
        for sql in [
            "", "'", "\"", "[", "x'", "1e+", "0x", ".", "/*", "/*/", "?", "é'é", "-",
        ] {
            let joined: String = tokens(sql).iter().map(|t| t.text).collect();

            assert_eq!(joined, sql.replace(' ', ""));
        }
    }

    #[test]
    fn a_name_is_quoted_only_if_necessary() {
        for (name, expected) in [
            ("users", "users"),
            ("order", "\"order\""),
            ("a b", "\"a b\""),
            ("1a", "\"1a\""),
            ("a\"b", "\"a\"\"b\""),
            ("", "\"\""),
        ] {
            assert_eq!(quoted(name), expected);
        }
    }
}
