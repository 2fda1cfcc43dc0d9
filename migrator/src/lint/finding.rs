//! The codes and the findings of the lint.

use std::fmt;

use serde::Serialize;

use crate::{
    scratch::desired::UnusableDeclaration,
    sql::location::SourceLocation,
    sqlite::{
        execute::StatementFailure,
        guard::{Denial, MIGRATOR},
        usability::UnusableObject,
    },
};

/// The codes of the lint rules, see the table in [`lint`](super).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub(crate) enum LintCode {
    /// SQLite rejects a script, or the upgrade of a copy fails.
    #[serde(rename = "M000")]
    Refused,
    /// A table with rows rejects an added column.
    #[serde(rename = "M001")]
    AddedColumn,
    /// A destructive change lacks its directive.
    #[serde(rename = "M002")]
    Destroyed,
    /// A migration touches an object of another service.
    #[serde(rename = "M003")]
    Ownership,
    /// A `*` selects columns.
    #[serde(rename = "M004")]
    AllColumns,
    /// A statement of the previous release no longer works.
    #[serde(rename = "M005")]
    Release,
    /// The run holds the write lock for too long.
    #[serde(rename = "M006")]
    Slow,
    /// A file of a pair is missing or empty.
    #[serde(rename = "M007")]
    Pair,
    /// A migration contains a forbidden statement.
    #[serde(rename = "M008")]
    Forbidden,
    /// A rebuild loses an object or a sequence.
    #[serde(rename = "M009")]
    Rebuild,
    /// `@renamed from=` names an unknown object.
    #[serde(rename = "M010")]
    Renamed,
    /// A declared object cannot be used.
    #[serde(rename = "M011")]
    Unusable,
}

impl fmt::Display for LintCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "M{:03}", *self as u8)
    }
}

/// A broken rule and its location.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) code: LintCode,
    /// The path in the project.
    pub(crate) file: String,
    /// The line, from 1.
    pub(crate) line: usize,
    /// The column in characters, from 1.
    pub(crate) column: usize,
    pub(crate) message: String,
    /// The suggested fix.
    pub(crate) remedy: String,
}

impl Finding {
    /// M000.
    pub(crate) fn refused(failure: &StatementFailure) -> Self {
        Self::new(
            LintCode::Refused,
            &failure.location,
            failure.message(),
            "correct the script".into(),
        )
    }

    /// M011.
    pub(super) fn unusable(declaration: &UnusableDeclaration) -> Self {
        let UnusableObject {
            kind,
            name,
            message,
        } = &declaration.object;
        Self::new(
            LintCode::Unusable,
            &declaration.location,
            format!("the {kind} {name} cannot be used: {message}"),
            "correct the declaration".into(),
        )
    }

    /// M003 or M008.
    pub(crate) fn denied(location: &SourceLocation, denial: &Denial) -> Self {
        match denial {
            Denial::NotOwned { operation, whose } => {
                let whose = match whose.as_str() {
                    MIGRATOR => "the migrator",
                    service => service,
                };
                Self::new(
                    LintCode::Ownership,
                    location,
                    format!("it may not {operation}, which belongs to {whose}"),
                    format!("only migrations of {whose} may touch it"),
                )
            }
            Denial::Forbidden(operation) => Self::forbidden(location, operation),
        }
    }

    /// M008.
    pub(super) fn forbidden(location: &SourceLocation, operation: &str) -> Self {
        Self::new(
            LintCode::Forbidden,
            location,
            format!("a migration may not {operation}"),
            "remove it: a run is one transaction, and the migrator sets its own pragmas".into(),
        )
    }

    pub(crate) fn new(
        code: LintCode,
        location: &SourceLocation,
        message: String,
        remedy: String,
    ) -> Self {
        let SourceLocation { file, line, column } = location.clone();
        Self {
            code,
            file,
            line,
            column,
            message,
            remedy,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            code,
            file,
            line,
            column,
            message,
            remedy,
        } = self;
        write!(f, "{file}:{line}:{column}: {code} {message}; {remedy}")
    }
}
