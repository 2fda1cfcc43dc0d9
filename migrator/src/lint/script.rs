//! The scripts of a project, taken apart. Knows no database.

use super::finding::{Finding, LintCode};
use crate::{
    project::migrations::{Direction, Migration},
    sql::{
        self, Statement, destructive_change::DestructiveChange, directives,
        location::SourceLocation, operation::Operation,
    },
};

/// A migration whose scripts were taken apart.
#[derive(Debug)]
pub(crate) struct ParsedMigration<'a> {
    pub(crate) migration: &'a Migration,
    pub(crate) up: ParsedScript<'a>,
    pub(crate) down: ParsedScript<'a>,
    /// Whether one of the files is missing, and an empty script stands for it.
    pub(crate) half: bool,
}

/// A script that was taken apart.
#[derive(Debug)]
pub(crate) struct ParsedScript<'a> {
    /// As the repository has it.
    pub(crate) file: String,
    pub(crate) text: &'a str,
    pub(crate) statements: Vec<Statement<'a>>,
    /// What each statement does.
    pub(super) operations: Vec<Operation>,
}

impl<'a> ParsedMigration<'a> {
    pub(crate) fn new(migration: &'a Migration, half: bool) -> Self {
        Self {
            migration,
            up: ParsedScript::new(migration, Direction::Up),
            down: ParsedScript::new(migration, Direction::Down),
            half,
        }
    }

    /// Whether there is a way back: not if the script says that there is none.
    pub(crate) fn is_reversible(&self) -> bool {
        !self.half && (!self.down.statements.is_empty() || self.down.irreversible().is_none())
    }
}

impl<'a> ParsedScript<'a> {
    fn new(migration: &'a Migration, direction: Direction) -> Self {
        let text = migration.script(direction);
        let statements = sql::statements(text);
        Self {
            file: migration.file(direction),
            text,
            operations: statements
                .iter()
                .map(|s| Operation::classify(s.text))
                .collect(),
            statements,
        }
    }

    /// Why it says that it undoes nothing: `-- @irreversible why`.
    pub(super) fn irreversible(&self) -> Option<&'a str> {
        directives::irreversible(self.text)
    }

    /// Whether one of these statements has `-- @destroys …` right above it.
    pub(super) fn is_intended(&self, statements: &[usize], change: &DestructiveChange) -> bool {
        let comments = statements.iter().map(|at| self.statements[*at].comment);
        comments
            .flat_map(directives::destroys)
            .any(|intended| intended == *change)
    }

    /// Something wrong with the statement at this index.
    pub(super) fn finding(
        &self,
        code: LintCode,
        statement: usize,
        message: String,
        remedy: String,
    ) -> Finding {
        Finding::new(code, &self.location(statement), message, remedy)
    }

    /// Returns where the statement at this index begins.
    pub(super) fn location(&self, statement: usize) -> SourceLocation {
        let offset = self.statements.get(statement).map_or(0, |s| s.offset);
        SourceLocation::new(&self.file, self.text, offset)
    }
}
