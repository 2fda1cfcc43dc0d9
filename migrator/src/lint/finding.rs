//! The codes and the findings of the lint.

use std::fmt;

use serde::Serialize;

use crate::{
    sql::location::SourceLocation,
    sqlite::{
        execute::Failure,
        guard::{Denial, MIGRATOR},
    },
};

/// What kind of thing is wrong. The table is at the head of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub(crate) enum LintCode {
    /// A script that SQLite refuses.
    #[serde(rename = "M000")]
    Refused,
    /// A column that a table with rows refuses.
    #[serde(rename = "M001")]
    AddedColumn,
    /// Something is destroyed without its mark.
    #[serde(rename = "M002")]
    Destroyed,
    /// What belongs to another service is touched.
    #[serde(rename = "M003")]
    Ownership,
    /// `*` for columns.
    #[serde(rename = "M004")]
    AllColumns,
    /// A statement of the release before no longer works.
    #[serde(rename = "M005")]
    Release,
    /// The write lock is held for too long.
    #[serde(rename = "M006")]
    Slow,
    /// Half of a pair.
    #[serde(rename = "M007")]
    Pair,
    /// A statement that no migration may use.
    #[serde(rename = "M008")]
    Forbidden,
    /// A rebuild loses something.
    #[serde(rename = "M009")]
    Rebuild,
    /// `@renamed from=` names nothing.
    #[serde(rename = "M010")]
    Renamed,
}

impl fmt::Display for LintCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "M{:03}", *self as u8)
    }
}

/// Something that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) code: LintCode,
    /// As the repository has it.
    pub(crate) file: String,
    /// From 1.
    pub(crate) line: usize,
    /// In characters, from 1.
    pub(crate) column: usize,
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) remedy: String,
}

impl Finding {
    /// M000.
    pub(crate) fn refused(failure: &Failure) -> Self {
        Self::new(
            LintCode::Refused,
            &failure.location,
            failure.message(),
            "correct the script".into(),
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
            "leave it out: a run is one transaction of the migrator, which makes its own settings"
                .into(),
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
