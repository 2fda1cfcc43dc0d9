//! The tokens of SQL as SQLite has them. Knows the lexical rules, and no statement.
//!
//! The rules are those of SQLite's own tokenizer, see
//! <https://sqlite.org/lang.html> and <https://sqlite.org/lang_keywords.html>.

use super::keywords::is_keyword;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A keyword or a name without quotes.
    Word,
    /// A name in `"…"`, `` `…` `` or `[…]`.
    Quoted,
    /// A text in `'…'`.
    Text,
    /// A number.
    Number,
    /// A blob, `x'…'`.
    Blob,
    /// A parameter, such as `?1` or `:name`.
    Parameter,
    /// An operator or a punctuation mark.
    Symbol,
    /// `-- …` without its line break, or `/* … */`.
    Comment,
}

/// A piece of SQL that has no smaller ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: TokenKind,
    /// As it is written.
    pub(crate) text: &'a str,
    /// Where it begins, in bytes.
    pub(crate) offset: usize,
}

impl Token<'_> {
    /// Where it ends, in bytes.
    pub(crate) fn end(&self) -> usize {
        self.offset + self.text.len()
    }

    /// Whether it is this keyword, given in lower case.
    pub(crate) fn is(&self, keyword: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(keyword)
    }

    /// Whether it is this operator or punctuation mark.
    pub(crate) fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == TokenKind::Symbol && self.text == symbol
    }

    /// Whether it can stand for a name. SQLite takes texts for names as well.
    pub(crate) fn is_name(&self) -> bool {
        matches!(
            self.kind,
            TokenKind::Word | TokenKind::Quoted | TokenKind::Text
        )
    }

    /// What it says, without its quotes.
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

    /// The same token in the one spelling that stands for all of its spellings: letter
    /// case, quotes that are not needed, and the operators that SQLite has twice.
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

/// All tokens of `sql`, comments too, in order. What no token can begin with becomes a
/// symbol of one character, which SQLite then refuses.
pub(crate) fn tokens(sql: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut offset = 0;
    while let Some(rest) = sql.get(offset..).filter(|rest| !rest.is_empty()) {
        let blank = rest.len()
            - rest
                .trim_start_matches([' ', '\t', '\n', '\r', '\x0C'])
                .len();
        if blank > 0 {
            offset += blank;
            continue;
        }
        let (kind, length) = first(rest);
        let (text, _) = rest.split_at(length);
        tokens.push(Token { kind, text, offset });
        offset += length;
    }
    tokens
}

/// All tokens of `sql` but its comments, in order.
pub(crate) fn significant_tokens(sql: &str) -> Vec<Token<'_>> {
    let mut tokens = tokens(sql);
    tokens.retain(|token| token.kind != TokenKind::Comment);
    tokens
}

/// The kind and the length in bytes of the token that `rest` begins with.
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
        byte if begins_word(byte) => (TokenKind::Word, word(rest)),
        _ => (TokenKind::Symbol, symbol(rest)),
    }
}

/// The length of what is in quotes, which stand for themselves when they are doubled.
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

/// The length of a number: decimal with a point, an exponent and `_` between digits, or
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

fn begins_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

/// The length of a word, or 0.
fn word(rest: &str) -> usize {
    let inside = |byte: &u8| begins_word(*byte) || byte.is_ascii_digit() || *byte == b'$';
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

/// A name as it has to be written: in quotes only where SQLite would not take it for one
/// otherwise.
pub(crate) fn quoted(name: &str) -> String {
    let plain = word(name) == name.len()
        && name.bytes().next().is_some_and(begins_word)
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
    fn each_kind_of_token_is_told_apart() {
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
    fn tokens_need_no_blanks_between_them() {
        let texts: Vec<_> = tokens("a<=b||'c'--d\n,1e").iter().map(|t| t.text).collect();

        assert_eq!(texts, ["a", "<=", "b", "||", "'c'", "--d", ",", "1", "e"]);
    }

    #[test]
    fn no_text_makes_the_tokenizer_fail_or_lose_anything() {
        for sql in [
            "", "'", "\"", "[", "x'", "1e+", "0x", ".", "/*", "/*/", "?", "é'é", "-",
        ] {
            let joined: String = tokens(sql).iter().map(|t| t.text).collect();

            assert_eq!(joined, sql.replace(' ', ""));
        }
    }

    #[test]
    fn a_name_is_quoted_only_where_it_has_to_be() {
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
