//! Parsed migrations: statements and operations. Knows no database.

use super::finding::{Finding, LintCode};
use crate::{
    project::migrations::{Direction, Migration},
    sql::{
        self, Statement, destructive_change::DestructiveChange, directives,
        location::SourceLocation, operation::Operation,
    },
};

/// A migration with parsed scripts.
#[derive(Debug)]
pub(crate) struct ParsedMigration<'a> {
    pub(crate) migration: &'a Migration,
    pub(crate) up: ParsedScript<'a>,
    pub(crate) down: ParsedScript<'a>,
    /// True if a file is missing and replaced by an empty script.
    pub(crate) is_incomplete: bool,
}

/// A parsed script.
#[derive(Debug)]
pub(crate) struct ParsedScript<'a> {
    /// The path in the project.
    pub(crate) file: String,
    pub(crate) text: &'a str,
    pub(crate) statements: Vec<Statement<'a>>,
    /// The operation of each statement.
    pub(super) operations: Vec<Operation>,
}

impl<'a> ParsedMigration<'a> {
    pub(crate) fn new(migration: &'a Migration, is_incomplete: bool) -> Self {
        Self {
            migration,
            up: ParsedScript::new(migration, Direction::Up),
            down: ParsedScript::new(migration, Direction::Down),
            is_incomplete,
        }
    }

    /// Reports whether the down script is expected to revert the up script.
    pub(crate) fn is_reversible(&self) -> bool {
        !self.is_incomplete
            && (!self.down.statements.is_empty() || self.down.irreversible().is_none())
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

    /// Returns the reason of `-- @irreversible`.
    pub(super) fn irreversible(&self) -> Option<&'a str> {
        directives::irreversible(self.text)
    }

    /// Reports whether `-- @destroys` with this change is above one of these statements.
    pub(super) fn is_intended(&self, statements: &[usize], change: &DestructiveChange) -> bool {
        let comments = statements.iter().map(|at| self.statements[*at].comment);
        comments
            .flat_map(directives::destroys)
            .any(|intended| intended == *change)
    }

    /// Returns a finding at the statement with this index.
    pub(super) fn finding(
        &self,
        code: LintCode,
        statement: usize,
        message: String,
        remedy: String,
    ) -> Finding {
        Finding::new(code, &self.location(statement), message, remedy)
    }

    /// Returns the start of the statement with this index.
    pub(super) fn location(&self, statement: usize) -> SourceLocation {
        let offset = self.statements.get(statement).map_or(0, |s| s.offset);
        SourceLocation::new(&self.file, self.text, offset)
    }
}
