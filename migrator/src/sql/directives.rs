//! The directives in SQL comments, in one grammar for all readers and writers.
//!
//! | directive | where | meaning |
//! |---|---|---|
//! | `@renamed from=old` | beside a declaration | the object was called `old` before |
//! | `@added` | beside a declaration | the object is new rather than renamed |
//! | `@irreversible reason` | in a down migration | the migration cannot be reverted completely |
//! | `@destroys table users` | above a statement | the loss is intended |
//!
//! A directive is a word of a comment of either kind. Whitespace and commas separate the words;
//! letter case is ignored. `@irreversible` and `@destroys` extend to the end of the comment and must
//! be its first word.

use std::ops::Range;

use super::{
    destructive_change::DestructiveChange,
    name::Name,
    token::{Token, TokenKind, tokens},
};

/// A directive of a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Directive<'a> {
    /// `None` without `from=`.
    Renamed {
        from: Option<Name>,
    },
    Added,
    /// The reason is empty if none is given.
    Irreversible {
        reason: &'a str,
    },
    /// `None` if the text is not a destructive change.
    Destroys(Option<DestructiveChange>),
}

impl Directive<'_> {
    /// Reports whether the directive belongs to the declaration beside it.
    fn is_about_declaration(&self) -> bool {
        matches!(self, Self::Renamed { .. } | Self::Added)
    }
}

/// The comments and the directives of a declaration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directives {
    /// The lines of the comments before the declaration.
    pub(crate) lines: Vec<String>,
    /// The old name of `@renamed from=old`.
    pub(crate) renamed_from: Option<Name>,
    /// True if `@added` is present.
    pub(crate) added: bool,
}

impl Directives {
    /// Parses the directives of comments. The last of several renames wins.
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

/// Returns the directives of a comment in order.
pub(crate) fn parse(comment: &str) -> impl Iterator<Item = Directive<'_>> {
    located(comment).into_iter().map(|(_, directive)| directive)
}

/// Returns the reason of `-- @irreversible` in a down migration, such as
/// `-- @irreversible the old format is not kept`.
pub(crate) fn irreversible(script: &str) -> Option<&str> {
    comments(script).find_map(|comment| match parse(comment.text).next() {
        Some(Directive::Irreversible { reason }) => Some(reason),
        _ => None,
    })
}

/// Returns the intended changes of the `@destroys` directives in comments.
pub(crate) fn destroys(text: &str) -> impl Iterator<Item = DestructiveChange> {
    let directives = comments(text).filter_map(|comment| parse(comment.text).next());
    directives.filter_map(|directive| match directive {
        Directive::Destroys(change) => change,
        _ => None,
    })
}

/// Returns the comment that marks a change as intended.
pub(crate) fn destroys_comment(change: &DestructiveChange) -> String {
    format!("-- @destroys {change}")
}

/// Removes the declaration directives from a comment. Returns `None` if nothing is left.
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

/// Removes the directives from the comments of a declaration, and the lines that become empty.
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

/// Returns the range of the indentation of the line that contains a byte.
fn line_indent(text: &str, offset: usize) -> Range<usize> {
    let line = text[..offset].rfind('\n').map_or(0, |at| at + 1);
    let rest = &text[line..];
    line..line + (rest.len() - rest.trim_start_matches([' ', '\t']).len())
}

fn comments(sql: &str) -> impl Iterator<Item = Token<'_>> {
    let tokens = tokens(sql).into_iter();
    tokens.filter(|token| token.kind == TokenKind::Comment)
}

/// Returns the ranges of the declaration directives in a comment.
fn declaration_spans(comment: &str) -> Vec<Range<usize>> {
    let directives = located(comment).into_iter();
    let about = directives.filter(|(_, directive)| directive.is_about_declaration());
    about.map(|(span, _)| span).collect()
}

/// Returns the directives of a comment with their byte ranges.
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

/// Returns the range of the text inside a comment.
fn body(comment: &str) -> Range<usize> {
    let start = comment.len() - comment.trim_start_matches(['-', '/', '*']).len();
    let end = match comment.strip_suffix("*/") {
        Some(open) if comment.starts_with("/*") => open.trim_end_matches('*').len(),
        _ => comment.len(),
    };
    start..end.max(start)
}

/// Returns the range of the next word after `from`.
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
    fn every_spelling_of_a_directive_is_parsed() {
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
    fn the_reason_of_an_irreversible_migration_is_parsed() {
        for (script, reason) in [
            (
                "-- @irreversible it is gone\ndrop table a",
                Some("it is gone"),
            ),
            ("drop table a; /* @irreversible */", Some("")),
            ("-- not @irreversible\ndrop table a", None),
            ("insert into a values ('-- @irreversible')", None),
        ] {
            assert_eq!(irreversible(script), reason, "{script}");
        }
    }

    #[test]
    fn a_comment_keeps_the_text_around_a_directive() {
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
    fn removed_directives_leave_no_empty_lines() {
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
