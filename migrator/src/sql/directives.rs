//! The directives in the comments of SQL, in one grammar for all who read or write them.
//!
//! | directive | where | meaning |
//! |---|---|---|
//! | `@renamed from=old` | beside a declaration | it was called `old` before |
//! | `@added` | beside a declaration | it is none of those that were there before |
//! | `@irreversible reason` | in a down migration | nothing is undone, or not all of it |
//! | `@destroys table users` | right above a statement | the loss is intended |
//!
//! A directive is a word of a comment of either kind. Blanks, line breaks and commas part
//! the words, and letter case does not count. `@irreversible` and `@destroys` take the rest
//! of their comment; therefore they are its first word.

use std::ops::Range;

use super::{
    destructive_change::DestructiveChange,
    name::Name,
    token::{Token, TokenKind, tokens},
};

/// A directive of a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Directive<'a> {
    /// `None` if it does not say from what.
    Renamed {
        from: Option<Name>,
    },
    Added,
    /// The reason is empty if none is given.
    Irreversible {
        reason: &'a str,
    },
    /// `None` if it is no change that destroys something.
    Destroys(Option<DestructiveChange>),
}

impl Directive<'_> {
    /// Whether it is about the declaration beside it.
    fn is_about_declaration(&self) -> bool {
        matches!(self, Self::Renamed { .. } | Self::Added)
    }
}

/// The comments at a declaration, and what they ask for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directives {
    /// The comments before it, one for each line; as they are written.
    pub(crate) lines: Vec<String>,
    /// `@renamed from=old`: what it was called before.
    pub(crate) renamed_from: Option<Name>,
    /// `@added`: it is none of those that were there before.
    pub(crate) added: bool,
}

impl Directives {
    /// Reads the directives in some comments. The last of two renames counts.
    pub(crate) fn from_comments(comments: &[Token<'_>]) -> Self {
        let mut directives = Self::default();
        for directive in comments.iter().flat_map(|comment| parse(comment.text)) {
            match directive {
                Directive::Added => directives.added = true,
                Directive::Renamed { from: Some(old) } => directives.renamed_from = Some(old),
                _ => {}
            }
        }
        directives
    }
}

/// The directives of a comment, in order.
pub(crate) fn parse(comment: &str) -> impl Iterator<Item = Directive<'_>> {
    located(comment).into_iter().map(|(_, directive)| directive)
}

/// Why a down migration says that it cannot be undone, if it says so in a comment such as
/// `-- @irreversible the old format is not kept`.
pub(crate) fn irreversible(script: &str) -> Option<&str> {
    comments(script).find_map(|comment| match parse(comment.text).next() {
        Some(Directive::Irreversible { reason }) => Some(reason),
        _ => None,
    })
}

/// The changes that some comments say are intended.
pub(crate) fn destroys(text: &str) -> impl Iterator<Item = DestructiveChange> {
    let directives = comments(text).filter_map(|comment| parse(comment.text).next());
    directives.filter_map(|directive| match directive {
        Directive::Destroys(change) => change,
        _ => None,
    })
}

/// The comment that says that a change is intended.
pub(crate) fn destroys_comment(change: &DestructiveChange) -> String {
    format!("-- @destroys {change}")
}

/// A comment without the directives about its declaration; `None` if nothing is left.
pub(crate) fn without_directives(comment: &str) -> Option<String> {
    let spans = declaration_spans(comment);
    if spans.is_empty() {
        return Some(comment.to_owned());
    }
    let mut rest = comment.to_owned();
    for span in spans.into_iter().rev() {
        rest.replace_range(span, "");
    }
    (!rest[body(&rest)].trim().is_empty()).then(|| rest.trim_end().to_owned())
}

/// A declaration without the directives in its comments, and without the lines on which
/// nothing else stood.
pub(crate) fn declaration_without_directives(declaration: &str) -> String {
    let mut text = String::new();
    let mut copied = 0;
    for comment in comments(declaration) {
        if declaration_spans(comment.text).is_empty() {
            continue;
        }
        text.push_str(&declaration[copied..comment.offset]);
        copied = comment.end();
        if let Some(comment) = without_directives(comment.text) {
            text.push_str(&comment);
            continue;
        }
        let line = text.rfind('\n').map_or(0, |at| at + 1);
        let alone = text[line..].trim().is_empty();
        let rest = &declaration[copied..];
        if alone && rest.starts_with('\n') {
            text.truncate(line);
            copied += 1;
        } else {
            text.truncate(text.trim_end_matches([' ', '\t']).len());
            let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
            if alone {
                text.push_str(&declaration[line_indent(declaration, comment.offset)]);
                copied += blanks;
            }
        }
    }
    text.push_str(&declaration[copied..]);
    text
}

/// The blanks at the beginning of the line that a byte is on.
fn line_indent(text: &str, offset: usize) -> Range<usize> {
    let line = text[..offset].rfind('\n').map_or(0, |at| at + 1);
    let rest = &text[line..];
    line..line + (rest.len() - rest.trim_start_matches([' ', '\t']).len())
}

fn comments(sql: &str) -> impl Iterator<Item = Token<'_>> {
    let tokens = tokens(sql).into_iter();
    tokens.filter(|token| token.kind == TokenKind::Comment)
}

/// Where the directives about a declaration are in its comment.
fn declaration_spans(comment: &str) -> Vec<Range<usize>> {
    let directives = located(comment).into_iter();
    let about = directives.filter(|(_, directive)| directive.is_about_declaration());
    about.map(|(span, _)| span).collect()
}

/// The directives of a comment, each with the bytes that it takes.
fn located(comment: &str) -> Vec<(Range<usize>, Directive<'_>)> {
    let body = body(comment);
    let text = &comment[..body.end];
    let mut found = Vec::new();
    let mut at = body.start;
    while let Some(word) = word(text, at) {
        at = word.end;
        let first = text[body.start..word.start].trim().is_empty();
        let rest = || {
            text[word.end..]
                .trim()
                .trim_end_matches(['-', '/', '*'])
                .trim_end()
        };
        let directive = match text[word.clone()].to_ascii_lowercase().as_str() {
            "@added" => Directive::Added,
            "@renamed" => {
                let from = self::word(text, at).and_then(|next| {
                    let old = text[next.clone()].strip_prefix("from=")?;
                    at = next.end;
                    (!old.is_empty()).then(|| Name::new(old))
                });
                Directive::Renamed { from }
            }
            "@irreversible" if first => {
                at = text.len();
                Directive::Irreversible { reason: rest() }
            }
            "@destroys" if first => {
                at = text.len();
                Directive::Destroys(DestructiveChange::parse(rest()))
            }
            _ => continue,
        };
        found.push((word.start..at, directive));
    }
    found
}

/// What a comment says, without the marks around it.
fn body(comment: &str) -> Range<usize> {
    let start = comment.len() - comment.trim_start_matches(['-', '/', '*']).len();
    let end = match comment.strip_suffix("*/") {
        Some(open) if comment.starts_with("/*") => open.trim_end_matches('*').len(),
        _ => comment.len(),
    };
    start..end.max(start)
}

/// The next word from `from` on.
fn word(text: &str, from: usize) -> Option<Range<usize>> {
    let parts = |c: char| c.is_whitespace() || c == ',';
    let rest = &text[from..];
    let start = from + rest.find(|c| !parts(c))?;
    let length = text[start..].find(parts).unwrap_or(text.len() - start);
    Some(start..start + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(from: &str) -> Directive<'_> {
        let from = (!from.is_empty()).then(|| Name::new(from));
        Directive::Renamed { from }
    }

    #[test]
    fn one_grammar_holds_for_every_spelling_of_a_directive() {
        let irreversible = |reason| Directive::Irreversible { reason };
        let destroys = |what| Directive::Destroys(DestructiveChange::parse(what));
        for (comment, expected) in [
            ("-- @added", &[Directive::Added][..]),
            ("--@Added", &[Directive::Added]),
            ("/*@added*/", &[Directive::Added]),
            ("-- me@added.org", &[]),
            ("-- not @addedly", &[]),
            ("-- @renamed from=x", &[renamed("x")]),
            ("-- @renamed  from=x", &[renamed("x")]),
            ("-- why,@renamed,\tfrom=x, and more", &[renamed("x")]),
            ("/* @renamed\n   from=x*/", &[renamed("x")]),
            ("-- @renamed x", &[renamed("")]),
            ("-- @renamed from=", &[renamed("")]),
            (
                "-- @renamed from=x @added",
                &[renamed("x"), Directive::Added],
            ),
            (
                "-- @irreversible it is gone, @added",
                &[irreversible("it is gone, @added")],
            ),
            ("/* @irreversible */", &[irreversible("")]),
            ("-- @irreversible --", &[irreversible("")]),
            ("-- not @irreversible", &[]),
            ("-- @irreversibly", &[]),
            ("-- @destroys table users", &[destroys("table users")]),
            ("--  @destroys  TABLE Users", &[destroys("table users")]),
            ("/* @destroys rows users */", &[destroys("rows users")]),
            ("-- it @destroys table users", &[]),
            ("-- @destroys nothing", &[Directive::Destroys(None)]),
            ("--", &[]),
            ("/**/", &[]),
            ("/* without an end", &[]),
        ] {
            let found: Vec<_> = parse(comment).collect();

            assert_eq!(found, expected, "{comment}");
        }
    }

    #[test]
    fn a_down_migration_says_why_it_is_irreversible() {
        for (script, why) in [
            (
                "-- @irreversible it is gone\ndrop table a",
                Some("it is gone"),
            ),
            ("drop table a; /* @irreversible */", Some("")),
            ("-- not @irreversible\ndrop table a", None),
            ("insert into a values ('-- @irreversible')", None),
        ] {
            assert_eq!(irreversible(script), why, "{script}");
        }
    }

    #[test]
    fn a_comment_keeps_what_is_no_directive() {
        for (comment, expected) in [
            ("-- One.", Some("-- One.")),
            ("-- One. @renamed  from=x", Some("-- One.")),
            ("-- @added", None),
            ("/* @added */", None),
            ("/* @renamed from=x, and One. */", Some("/* , and One. */")),
            ("-- me@added.org", Some("-- me@added.org")),
        ] {
            assert_eq!(
                without_directives(comment).as_deref(),
                expected,
                "{comment}"
            );
        }
    }

    #[test]
    fn directives_leave_nothing_behind() {
        for (declared, expected) in [
            ("a (\n  -- @added\n  b int\n)", "a (\n  b int\n)"),
            ("a (\n  b int -- @added\n)", "a (\n  b int\n)"),
            ("a (\n  /* @added */ b int\n)", "a (\n  b int\n)"),
            (
                "a (\n  b int, -- why @renamed from=c\n  d\n)",
                "a (\n  b int, -- why\n  d\n)",
            ),
        ] {
            assert_eq!(declaration_without_directives(declared), expected);
        }
    }
}
