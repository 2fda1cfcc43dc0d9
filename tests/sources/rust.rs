//! Rust sources in pieces: enough to tell words of the code from comments and texts.

/// What a source is made of.
#[derive(Debug, Default)]
pub struct Pieces {
    /// Names and keywords, in their order.
    pub words: Vec<String>,
    /// The values of texts, in their order.
    pub texts: Vec<String>,
}

/// Takes a source apart.
pub fn pieces(source: &str) -> Pieces {
    let mut pieces = Pieces::default();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        rest = if let Some(comment) = rest.strip_prefix("//") {
            comment.find('\n').map_or("", |end| &comment[end..])
        } else if rest.starts_with("/*") {
            after_comment(rest)
        } else if first == '"' {
            let (text, rest) = text(&rest[1..]);
            pieces.texts.push(text);
            rest
        } else if first == '\'' {
            after_character(&rest[1..])
        } else if first.is_alphanumeric() || first == '_' {
            let (word, rest) = split(rest, |c| c.is_alphanumeric() || c == '_');
            if let Some((text, rest)) = raw_text(word, rest) {
                pieces.texts.push(text);
                rest
            } else {
                pieces.words.push(word.to_owned());
                rest
            }
        } else {
            &rest[first.len_utf8()..]
        };
    }
    pieces
}

/// Whether `word` stands in `text`, with nothing of a word before or after it.
pub fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(part) && !text[at + word.len()..].starts_with(part))
}

fn split(text: &str, take: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !take(c)).unwrap_or(text.len()))
}

/// What follows a comment, in which others may stand.
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

/// What follows the quote that begins a character or a lifetime.
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

/// The value of a text whose opening quote was read, and what follows it.
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

/// Reads what follows a backslash. Of numbers in escapes no test here depends.
fn escaped<'a>(source: &'a str, value: &mut String) -> &'a str {
    let Some(c) = source.chars().next() else {
        return source;
    };
    let rest = &source[c.len_utf8()..];
    match c {
        // The text goes on at the next character that is no white space.
        '\n' => return rest.trim_start(),
        'n' => value.push('\n'),
        't' => value.push('\t'),
        'r' => value.push('\r'),
        'u' | 'x' | '0' => value.push('\u{FFFD}'),
        c => value.push(c),
    }
    rest
}

/// The value of a raw text that `prefix` begins, and what follows it.
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
fn comments_characters_and_lifetimes_are_no_texts() {
    let source = r##"
        // "a" in a comment
        /* "b" /* "c" */ "d" */
        fn f<'a>(x: &'a str) -> char { '"' }
        const X: (&str, char, &str) = ("e\"\
            f", '\'', r#"g"h"#);
        b"i"
    "##;

    let Pieces { words, texts } = pieces(source);

    assert_eq!(texts, ["e\"f", "g\"h", "i"]);
    assert!(words.starts_with(&["fn", "f", "a", "x"].map(str::to_owned)));
    assert!(!words.contains(&"comment".to_owned()));
}

#[test]
fn a_word_is_a_whole_one() {
    assert!(has_word("a user.", "user"));
    assert!(!has_word("users, user_id and superuser", "user"));
}
