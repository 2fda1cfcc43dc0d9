//! The scripts of a project, taken apart. Knows no database.

use super::{Code, Finding};
use crate::sql::operation::{Deed, deed};
use crate::{
    project::migrations::{Direction, Migration},
    sql::{self, Kind, Statement},
};

/// A migration whose scripts were taken apart.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    pub(crate) number: i64,
    pub(crate) up: Script<'a>,
    pub(crate) down: Script<'a>,
    /// Whether one of the files is missing, and an empty script stands for it.
    pub(crate) half: bool,
}

/// A script that was taken apart.
#[derive(Debug)]
pub(crate) struct Script<'a> {
    /// The service whose it is.
    pub(crate) owner: &'a str,
    /// As the repository has it.
    pub(crate) file: String,
    pub(crate) text: &'a str,
    pub(crate) statements: Vec<Statement<'a>>,
    /// What each statement does.
    pub(super) deeds: Vec<Deed>,
}

impl<'a> Step<'a> {
    pub(crate) fn new(migration: &'a Migration, half: bool) -> Self {
        Self {
            number: migration.number(),
            up: Script::new(migration, Direction::Up),
            down: Script::new(migration, Direction::Down),
            half,
        }
    }

    /// Whether there is a way back: not if the script says that there is none.
    pub(crate) fn is_reversible(&self) -> bool {
        !self.half && (!self.down.statements.is_empty() || self.down.irreversible().is_none())
    }
}

impl<'a> Script<'a> {
    fn new(migration: &'a Migration, direction: Direction) -> Self {
        let suffix = match direction {
            Direction::Up => "up",
            Direction::Down => "down",
        };
        let (owner, number, name) = (migration.owner(), migration.number(), migration.name());
        let text = migration.script(direction);
        let statements = sql::statements(text);
        Self {
            owner,
            file: format!("{owner}/migrations/{number:04}_{name}.{suffix}.sql"),
            text,
            deeds: statements.iter().map(|s| deed(s.text)).collect(),
            statements,
        }
    }

    /// Why it says that it undoes nothing: `-- @irreversible why`.
    pub(super) fn irreversible(&self) -> Option<&'a str> {
        let tokens = sql::tokens(self.text).into_iter();
        let mut comments = tokens.filter(|token| token.kind == Kind::Comment);
        comments.find_map(|comment| {
            let text = comment.text.trim_matches(|c| matches!(c, '-' | '/' | '*'));
            Some(text.trim().strip_prefix("@irreversible")?.trim())
        })
    }

    /// Whether one of these statements has `-- @destroys …` right above it.
    pub(super) fn is_marked(&self, statements: &[usize], what: &str) -> bool {
        let mark = mark(what);
        let comments = statements.iter().map(|at| self.statements[*at].comment);
        comments
            .flat_map(str::lines)
            .any(|line| line.trim().eq_ignore_ascii_case(&mark))
    }

    /// Something wrong with the statement at this index.
    pub(super) fn finding(
        &self,
        code: Code,
        statement: usize,
        message: String,
        remedy: String,
    ) -> Finding {
        let offset = self.statements.get(statement).map_or(0, |s| s.offset);
        Finding::new(
            code,
            &self.file,
            sql::position(self.text, offset),
            message,
            remedy,
        )
    }
}

/// The comment that says that something is destroyed on purpose.
pub(super) fn mark(what: &str) -> String {
    format!("-- @destroys {what}")
}
