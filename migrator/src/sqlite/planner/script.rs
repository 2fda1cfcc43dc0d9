//! Prints a plan as the text of a migration file, for review.

use super::plan::Plan;
use crate::{
    sql::{
        self, TokenKind,
        destructive_change::DestructiveChange,
        directives::{
            Directives, declaration_without_directives, destroys_comment, without_directives,
        },
        name::Name,
    },
    sqlite::schema::{Column, Table},
};

impl Plan {
    /// Returns the text of a migration file: the head, and then each step with its comments. The
    /// directives that declare destroyed data come right above the statements.
    pub(crate) fn script(&self) -> String {
        let mut blocks = Vec::new();
        if !self.head.is_empty() {
            let head: Vec<_> = self.head.iter().cloned().map(one_line).collect();
            blocks.push(format!("{}\n", head.join("\n")));
        }
        for step in &self.steps {
            let destroys = step.losses.iter().map(destroys_comment);
            let comments = step.comments.iter().cloned().chain(destroys);
            let statements = step
                .statements
                .iter()
                .map(|statement| format!("{statement};"));
            let lines: Vec<_> = comments.map(one_line).chain(statements).collect();
            blocks.push(format!("{}\n", lines.join("\n")));
        }
        blocks.join("\n")
    }
}

/// Keeps a line comment on one line, even if a name in it has a line break.
fn one_line(comment: String) -> String {
    if comment.starts_with("--") {
        return comment.replace(['\n', '\r'], " ");
    }
    comment
}

/// Returns the head of a down script: the data that it cannot restore, the data that it destroys,
/// and the rows on which it fails.
pub(super) fn head(up: &Plan, down: &Plan, mut risks: Vec<String>) -> Vec<String> {
    let mut head = Vec::new();
    let describe = |loss: &DestructiveChange| match loss {
        DestructiveChange::Table(table) | DestructiveChange::Rows(table) => {
            format!("--   the rows of table {}", table.quoted())
        }
        DestructiveChange::Column(table, column) => {
            format!("--   the values of {}.{}", table.quoted(), column.quoted())
        }
        DestructiveChange::Values(table, column) => format!(
            "--   the values of {}.{} as they were",
            table.quoted(),
            column.quoted()
        ),
        DestructiveChange::Sequence(table) => {
            format!("--   the AUTOINCREMENT sequence of {}", table.quoted())
        }
    };
    for (what, plan) in [
        (
            "-- This down migration cannot restore what the up migration destroyed:",
            up,
        ),
        (
            "-- This down migration destroys what was added since the up migration:",
            down,
        ),
    ] {
        let losses: Vec<_> = plan.losses().map(describe).collect();
        if !losses.is_empty() {
            head.push(what.to_owned());
            head.extend(losses);
        }
    }
    let steps = down.steps.iter();
    let comments = steps.flat_map(|step| &step.comments);
    let cautions = comments.filter_map(|comment| comment.strip_prefix("-- Fails on rows "));
    risks.extend(cautions.map(|risk| format!("on rows {}", risk.trim_end_matches('.'))));
    if !risks.is_empty() {
        head.push("-- This down migration fails:".to_owned());
        head.extend(risks.iter().map(|risk| format!("--   {risk}")));
    }
    head
}

/// Returns the comment paragraph right before a declaration, without directives.
pub(super) fn comments(directives: &Directives) -> Vec<String> {
    let lines = directives.lines.join("\n");
    let mut paragraph = Vec::new();
    let mut ended = 0;
    for comment in sql::tokens(&lines) {
        let breaks = lines[ended..comment.offset].matches('\n').count();
        if ended > 0 && breaks > 1 {
            paragraph.clear();
        }
        paragraph.extend(without_directives(comment.text));
        ended = comment.end();
    }
    paragraph
}

/// Returns the declaration of a column, without directives.
pub(super) fn column(column: &Column) -> String {
    declaration_without_directives(&column.sql)
}

/// Returns the CREATE TABLE of a table under another name, with its comments.
pub(super) fn create_table(table: &Table, name: &Name) -> String {
    let tokens = sql::tokens(&table.sql);
    let words: Vec<_> = tokens
        .iter()
        .filter(|t| t.kind != TokenKind::Comment)
        .collect();
    let Some(declared) = words.get(2) else {
        return table.ddl();
    };
    let mut text = format!("create table {}", name.quoted());
    let mut copied = declared.end();
    // A name before a dot may be the table's own.
    for pair in words.windows(2).skip(3) {
        if let [before, after] = pair
            && after.is_symbol(".")
            && matches!(before.kind, TokenKind::Word | TokenKind::Quoted)
            && Name::new(&before.unquoted()) == table.name
        {
            text.push_str(&table.sql[copied..before.offset]);
            text.push_str(&name.quoted());
            copied = before.end();
        }
    }
    text.push_str(&table.sql[copied..]);
    declaration_without_directives(&text)
}

/// Returns the CREATE statement of another object in lower case. SQLite stores its first words
/// in capitals.
pub(super) fn declared(kind: &str, declaration: &str) -> String {
    let tokens = sql::tokens(declaration);
    let first = tokens.iter().take(3).find(|token| token.is(kind));
    let head = first.map_or(0, sql::Token::end);
    let (head, rest) = declaration.split_at(head);
    declaration_without_directives(&format!("{}{rest}", head.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directives(text: &str) -> Directives {
        Directives {
            lines: text.lines().map(str::to_owned).collect(),
            ..Directives::default()
        }
    }

    #[test]
    fn comments_before_a_declaration_lose_their_directives() {
        for (text, expected) in [
            ("", &[][..]),
            ("-- One.\n  -- Two.", &["-- One.", "-- Two."]),
            ("-- About all.\n\n-- One.", &["-- One."]),
            ("/* One.\n\nTwo. */", &["/* One.\n\nTwo. */"]),
            ("-- One. @renamed from=x\n-- @added", &["-- One."]),
            ("-- @renamed from=x\n/* @added */", &[]),
            ("/* @renamed from=x, and One. */", &["/* , and One. */"]),
        ] {
            assert_eq!(comments(&directives(text)), expected, "{text}");
        }
    }

    #[test]
    fn a_line_break_in_a_name_does_not_end_a_comment() {
        let step = super::super::plan::Step::new(vec!["drop table x".to_owned()]);
        let step = step.with_losses(vec![DestructiveChange::Table(Name::new("a\nb"))]);
        let plan = Plan {
            head: Vec::new(),
            steps: vec![step],
        };

        assert_eq!(plan.script(), "-- @destroys table \"a b\"\ndrop table x;\n");
    }
}
