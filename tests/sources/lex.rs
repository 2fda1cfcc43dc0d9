//! Splits Rust sources into words, literals and comments: a small lexer for the tests that read
//! sources.

/// The tokens of a source, each kind in source order.
#[derive(Debug, Default)]
pub struct Tokens {
    /// Names, keywords and numbers.
    pub words: Vec<String>,
    /// The values of string literals.
    pub literals: Vec<Text>,
    /// Comments with their markers, such as `///`.
    pub comments: Vec<Text>,
}

/// A literal or a comment.
#[derive(Debug, PartialEq, Eq)]
pub struct Text {
    /// Line number of its first character, from 1.
    pub line: usize,
    pub text: String,
}

impl Tokens {
    /// Returns the values of all string literals.
    pub fn literal_texts(&self) -> impl Iterator<Item = &str> {
        self.literals.iter().map(|literal| literal.text.as_str())
    }

    /// Reports whether a name, a keyword or a literal contains `word` as a whole word.
    pub fn code_has_word(&self, word: &str) -> bool {
        let mut words = self.words.iter();
        words.any(|w| w == word) || self.literal_texts().any(|text| has_word(text, word))
    }
}

/// Splits a source into its tokens.
pub fn lex(source: &str) -> Tokens {
    let mut tokens = Tokens::default();
    let mut rest = source;
    let mut counted = 0;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let at = source.len() - rest.len();
        line += source[counted..at].matches('\n').count();
        counted = at;
        rest = if rest.starts_with("//") {
            let (comment, rest) = rest.split_at(rest.find('\n').unwrap_or(rest.len()));
            tokens.comments.push(Text {
                line,
                text: comment.to_owned(),
            });
            rest
        } else if rest.starts_with("/*") {
            let after = after_comment(rest);
            tokens.comments.push(Text {
                line,
                text: rest[..rest.len() - after.len()].to_owned(),
            });
            after
        } else if first == '"' {
            let (text, rest) = text(&rest[1..]);
            tokens.literals.push(Text { line, text });
            rest
        } else if first == '\'' {
            after_character(&rest[1..])
        } else if first.is_alphanumeric() || first == '_' {
            let (word, rest) = split(rest, |c| c.is_alphanumeric() || c == '_');
            if let Some((text, rest)) = raw_text(word, rest) {
                tokens.literals.push(Text { line, text });
                rest
            } else {
                tokens.words.push(word.to_owned());
                rest
            }
        } else {
            &rest[first.len_utf8()..]
        };
    }
    tokens
}

/// Reports whether `text` contains `word` as a whole word.
pub fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(part) && !text[at + word.len()..].starts_with(part))
}

fn split(text: &str, take: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !take(c)).unwrap_or(text.len()))
}

/// Returns the source after a block comment. Block comments nest.
fn after_comment(text: &str) -> &str {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            break;
        }
    }
    &text[at..]
}

/// Returns the source after the quote that opens a character literal or a lifetime.
fn after_character(text: &str) -> &str {
    let mut characters = text.char_indices();
    match characters.next() {
        Some((_, '\\')) => {
            characters.next();
            let end = characters.find(|(_, c)| *c == '\'');
            end.map_or("", |(at, _)| &text[at + 1..])
        }
        Some(_) if matches!(characters.next(), Some((_, '\''))) => {
            let end = text.find('\'').filter(|at| *at > 0).unwrap_or(1);
            &text[end + 1..]
        }
        _ => text,
    }
}

/// Returns the value of a string literal whose opening quote was consumed, and the source after it.
fn text(source: &str) -> (String, &str) {
    let mut value = String::new();
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '"' => break,
            '\\' => rest = escaped(rest, &mut value),
            c => value.push(c),
        }
    }
    (value, rest)
}

/// Appends the value of the escape after a backslash. Numeric escapes become U+FFFD: no test needs
/// their value.
fn escaped<'a>(source: &'a str, value: &mut String) -> &'a str {
    let Some(c) = source.chars().next() else {
        return source;
    };
    let rest = &source[c.len_utf8()..];
    match c {
        // A line continuation skips white space up to the next character.
        '\n' => return rest.trim_start(),
        'n' => value.push('\n'),
        't' => value.push('\t'),
        'r' => value.push('\r'),
        'u' | 'x' | '0' => value.push('\u{FFFD}'),
        c => value.push(c),
    }
    rest
}

/// Returns the value of the raw string literal with this prefix, and the source after it.
fn raw_text<'a>(prefix: &str, rest: &'a str) -> Option<(String, &'a str)> {
    if !matches!(prefix, "r" | "br" | "cr") {
        return None;
    }
    let (fence, rest) = split(rest, |c| c == '#');
    let rest = rest.strip_prefix('"')?;
    let end = format!("\"{fence}");
    let (text, rest) = rest.split_once(end.as_str())?;
    Some((text.to_owned(), rest))
}

#[test]
fn lexer_separates_words_literals_and_comments() {
    let source = r##"
        // "a" in a comment
        /* "b" /* "c" */ "d" */
        fn f<'a>(x: &'a str) -> char { '"' }
        const X: (&str, char, &str) = ("e\"\
            f", '\'', r#"g"h"#);
        b"i" // j
    "##;

    let tokens = lex(source);

    let literals: Vec<_> = tokens.literal_texts().collect();
    assert_eq!(literals, ["e\"f", "g\"h", "i"]);
    let words = &tokens.words;
    assert!(words.starts_with(&["fn", "f", "a", "x"].map(str::to_owned)));
    assert!(!words.contains(&"comment".to_owned()));
    let comments = tokens.comments.iter().map(|c| (c.line, c.text.as_str()));
    let expected = [
        (2, "// \"a\" in a comment"),
        (3, "/* \"b\" /* \"c\" */ \"d\" */"),
        (7, "// j"),
    ];
    assert!(comments.eq(expected));
}

#[test]
fn code_words_exclude_comments() {
    let tokens = lex("/// users\nfn f() { log(\"no posts\"); } // User\nstruct UserId;");

    assert!(tokens.code_has_word("posts"));
    assert!(tokens.code_has_word("UserId"));
    assert!(!tokens.code_has_word("users"));
    assert!(!tokens.code_has_word("User"));
}

#[test]
fn words_match_only_as_a_whole() {
    assert!(has_word("a user.", "user"));
    assert!(!has_word("users, user_id and superuser", "user"));
}
