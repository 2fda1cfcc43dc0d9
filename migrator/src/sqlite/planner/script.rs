//! A plan as the text of a file, for people to review.

use super::{Loss, Plan};
use crate::{
    sql::{self, Kind},
    sqlite::schema::{Column, Name, Remark, Table},
};

/// The whole file: its head, then each step with its comments and, right above its
/// statements, the marks of what it destroys.
pub(super) fn text(plan: &Plan) -> String {
    let mut blocks = Vec::new();
    if !plan.head.is_empty() {
        let head: Vec<_> = plan.head.iter().cloned().map(one_line).collect();
        blocks.push(format!("{}\n", head.join("\n")));
    }
    for step in &plan.steps {
        let marks = step
            .losses
            .iter()
            .map(|loss| format!("-- @destroys {loss}"));
        let comments = step.comments.iter().cloned().chain(marks);
        let statements = step
            .statements
            .iter()
            .map(|statement| format!("{statement};"));
        let lines: Vec<_> = comments.map(one_line).chain(statements).collect();
        blocks.push(format!("{}\n", lines.join("\n")));
    }
    blocks.join("\n")
}

/// A comment that ends with its line, even if a name or a text in it has a line break.
fn one_line(comment: String) -> String {
    if comment.starts_with("--") {
        return comment.replace(['\n', '\r'], " ");
    }
    comment
}

/// What a reader of a way down has to know: what does not come back, and what goes.
pub(super) fn head(up: &Plan, down: &Plan) -> Vec<String> {
    let mut head = Vec::new();
    let describe = |loss: &Loss| match loss {
        Loss::Table(table) => format!("--   the rows of table {}", table.quoted()),
        Loss::Column(table, column) => {
            format!("--   the values of {}.{}", table.quoted(), column.quoted())
        }
        Loss::Values(table, column) => format!(
            "--   the values of {}.{} as they were",
            table.quoted(),
            column.quoted()
        ),
        Loss::Mark(table) => format!("--   the ids of {} that were in use once", table.quoted()),
    };
    for (what, plan) in [
        ("-- It cannot bring back what the way up destroyed:", up),
        ("-- It destroys what came after the way up:", down),
    ] {
        let losses: Vec<_> = plan.losses().map(describe).collect();
        if !losses.is_empty() {
            head.push(what.to_owned());
            head.extend(losses);
        }
    }
    head
}

/// The comments before a declaration, without what they ask for: the paragraph right
/// before it.
pub(super) fn remarks(remark: &Remark) -> Vec<String> {
    let lines = remark.lines.join("\n");
    let mut paragraph = Vec::new();
    let mut ended = 0;
    for comment in sql::tokens(&lines) {
        let breaks = lines[ended..comment.offset].matches('\n').count();
        if ended > 0 && breaks > 1 {
            paragraph.clear();
        }
        paragraph.extend(plain(comment.text));
        ended = comment.end();
    }
    paragraph
}

/// A comment without its directives; `None` if nothing is left of it.
fn plain(comment: &str) -> Option<String> {
    let mut rest = comment.to_owned();
    let mut had = false;
    while let Some(at) = rest.find("@added") {
        rest.replace_range(at..at + "@added".len(), "");
        had = true;
    }
    while let Some(at) = rest.find("@renamed") {
        let after = &rest[at + "@renamed".len()..];
        let blank = after.len() - after.trim_start_matches([' ', '\t', ',']).len();
        let word = after[blank..].starts_with("from=").then(|| {
            let word = after[blank..].find(|c: char| c.is_whitespace() || c == ',');
            word.unwrap_or_else(|| after.trim_end_matches("*/").len() - blank)
        });
        let length = word.map_or(0, |word| blank + word);
        rest.replace_range(at..at + "@renamed".len() + length, "");
        had = true;
    }
    if !had {
        return Some(rest);
    }
    let inner = rest.trim_start_matches("--").trim_start_matches("/*");
    let inner = inner.trim_end_matches("*/").trim();
    (!inner.is_empty()).then(|| rest.trim_end().to_owned())
}

/// A column as it was declared, without directives.
pub(super) fn column(column: &Column) -> String {
    without_directives(&column.sql)
}

/// The CREATE TABLE of a table under another name, with its comments.
pub(super) fn create_table(table: &Table, name: &Name) -> String {
    let tokens = sql::tokens(&table.sql);
    let words: Vec<_> = tokens.iter().filter(|t| t.kind != Kind::Comment).collect();
    let Some(declared) = words.get(2) else {
        return table.ddl();
    };
    let mut text = format!("create table {}", name.quoted());
    let mut copied = declared.end();
    // A name before a point may be that of the table itself.
    for pair in words.windows(2).skip(3) {
        if let [before, after] = pair
            && after.is_symbol(".")
            && matches!(before.kind, Kind::Word | Kind::Quoted)
            && Name::new(&before.unquoted()) == table.name
        {
            text.push_str(&table.sql[copied..before.offset]);
            text.push_str(&name.quoted());
            copied = before.end();
        }
    }
    text.push_str(&table.sql[copied..]);
    without_directives(&text)
}

/// The CREATE of something else as SQLite keeps it, which is with its first words in
/// capitals.
pub(super) fn declared(kind: &str, declaration: &str) -> String {
    let tokens = sql::tokens(declaration);
    let first = tokens.iter().take(3).find(|token| token.is(kind));
    let head = first.map_or(0, sql::Token::end);
    let (head, rest) = declaration.split_at(head);
    without_directives(&format!("{}{rest}", head.to_ascii_lowercase()))
}

/// A declaration without the directives in its comments, and without the lines on which
/// nothing else stood.
fn without_directives(declaration: &str) -> String {
    let mut text = String::new();
    let mut copied = 0;
    for token in sql::tokens(declaration) {
        let is_directive = token.text.contains("@added") || token.text.contains("@renamed");
        if token.kind != Kind::Comment || !is_directive {
            continue;
        }
        text.push_str(&declaration[copied..token.offset]);
        copied = token.end();
        if let Some(comment) = plain(token.text) {
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
                text.push_str(&declaration[line_indent(declaration, token.offset)]);
                copied += blanks;
            }
        }
    }
    text.push_str(&declaration[copied..]);
    text
}

/// The blanks at the beginning of the line that a byte is on.
fn line_indent(text: &str, offset: usize) -> std::ops::Range<usize> {
    let line = text[..offset].rfind('\n').map_or(0, |at| at + 1);
    let rest = &text[line..];
    line..line + (rest.len() - rest.trim_start_matches([' ', '\t']).len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remark(text: &str) -> Remark {
        Remark {
            lines: text.lines().map(str::to_owned).collect(),
            ..Remark::default()
        }
    }

    #[test]
    fn the_paragraph_before_a_declaration_goes_along_without_directives() {
        for (text, expected) in [
            ("", &[][..]),
            ("-- One.\n  -- Two.", &["-- One.", "-- Two."]),
            ("-- About all.\n\n-- One.", &["-- One."]),
            ("/* One.\n\nTwo. */", &["/* One.\n\nTwo. */"]),
            ("-- One. @renamed from=x\n-- @added", &["-- One."]),
            ("-- @renamed from=x\n/* @added */", &[]),
            ("/* @renamed from=x, and One. */", &["/* , and One. */"]),
        ] {
            assert_eq!(remarks(&remark(text)), expected, "{text}");
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
            assert_eq!(without_directives(declared), expected);
        }
    }

    #[test]
    fn no_name_ends_a_comment_before_its_line() {
        let step = super::super::Step::new(vec!["drop table x".to_owned()]);
        let step = step.losing(vec![Loss::Table(Name::new("a\nb"))]);
        let plan = Plan {
            head: Vec::new(),
            steps: vec![step],
        };

        assert_eq!(text(&plan), "-- @destroys table \"a b\"\ndrop table x;\n");
    }
}
