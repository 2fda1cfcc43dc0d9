//! What is wrong with migrations though SQLite takes them: what fails or loses something
//! in use, and what breaks the programs that run meanwhile.
//!
//! | code | what is wrong |
//! |---|---|
//! | M000 | a script that SQLite refuses, or a copy of the database that cannot be upgraded |
//! | M001 | a column is added that a table with rows refuses: NOT NULL without a default, or with a default that is no constant |
//! | M002 | something is destroyed without its mark, see below |
//! | M003 | what belongs to another service is touched |
//! | M004 | `select *`, `returning *` or `t.*` |
//! | M005 | a statement of the release before no longer works |
//! | M006 | a run holds the write lock for longer than the services wait for it |
//! | M007 | half of a pair, or a way back without a statement and without a reason |
//! | M008 | a statement that no migration may use: of transactions, PRAGMA, ATTACH, VACUUM, temporary or virtual tables |
//! | M009 | a rebuild loses an index, a trigger, a view, a reference or the AUTOINCREMENT mark |
//! | M010 | `@renamed from=` names nothing |
//!
//! A code never changes its meaning. What is destroyed on purpose has a mark, a comment
//! line of its own right above the statement (for a rebuild: above one of its statements):
//! `-- @destroys table users`, `-- @destroys column users.bio` or `-- @destroys rows users`.
//!
//! Scripts run on a scratch database that has no rows; an upgrade of a copy of the database
//! tells of M006.

mod add_column;
mod compatibility;
mod destructive;
mod execution;
mod rebuild;
mod renamed_directive;
mod script;
mod syntax;
#[cfg(test)]
pub(crate) mod tests;

use std::{collections::BTreeSet, fmt};

use serde::Serialize;

pub(crate) use self::{execution::ExecutedScripts, script::ParsedMigration};
use crate::{
    error::Error,
    project::{
        Project,
        migrations::{InvalidMigrations, Migrations},
    },
    sql::location::SourceLocation,
    sqlite::{
        execute::Failure,
        guard::{Denial, MIGRATOR},
        schema::Schema,
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
            &failure.place,
            failure.message(),
            "correct the script".into(),
        )
    }

    /// M003 or M008.
    pub(crate) fn denied(place: &SourceLocation, denial: &Denial) -> Self {
        match denial {
            Denial::NotOwned { operation, whose } => {
                let whose = match whose.as_str() {
                    MIGRATOR => "the migrator",
                    service => service,
                };
                Self::new(
                    LintCode::Ownership,
                    place,
                    format!("it may not {operation}, which belongs to {whose}"),
                    format!("only migrations of {whose} may touch it"),
                )
            }
            Denial::Forbidden(operation) => Self::forbidden(place, operation),
        }
    }

    /// M008.
    fn forbidden(place: &SourceLocation, operation: &str) -> Self {
        Self::new(
            LintCode::Forbidden,
            place,
            format!("a migration may not {operation}"),
            "leave it out: a run is one transaction of the migrator, which makes its own settings"
                .into(),
        )
    }

    pub(crate) fn new(
        code: LintCode,
        place: &SourceLocation,
        message: String,
        remedy: String,
    ) -> Self {
        let SourceLocation { file, line, column } = place.clone();
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

/// The migrations of a project, with an empty script for each that is missing, and the
/// numbers of those.
#[derive(Debug)]
pub(crate) struct Scripts {
    migrations: Migrations,
    halves: BTreeSet<i64>,
    findings: Vec<Finding>,
}

impl Scripts {
    /// Those of a project.
    ///
    /// # Errors
    ///
    /// [`InvalidMigrations`], but not because half of a pair is missing.
    pub(crate) fn new(project: &Project) -> Result<Self, InvalidMigrations> {
        let (migrations, missing) = Migrations::with_missing(project.migration_files())?;
        let findings = missing.iter().map(|half| {
            let file = half.file.rsplit('/').next().unwrap_or_default();
            Finding::new(
                LintCode::Pair,
                &SourceLocation::beginning(&half.other),
                format!("{file} is missing"),
                "write it, or restore it".into(),
            )
        });
        Ok(Self {
            migrations,
            halves: missing.iter().map(|half| half.number).collect(),
            findings: findings.collect(),
        })
    }

    /// Taken apart.
    pub(crate) fn steps(&self) -> Vec<ParsedMigration<'_>> {
        let migrations = self.migrations.iter();
        migrations
            .map(|migration| {
                ParsedMigration::new(migration, self.halves.contains(&migration.number()))
            })
            .collect()
    }
}

/// Everything that is wrong with a project.
#[cfg(test)]
pub(crate) async fn lint(project: &Project) -> Result<Vec<Finding>, Error> {
    let declared = crate::scratch::desired::DesiredSchema::new(project).await?;
    let scripts = Scripts::new(project)?;
    let steps = scripts.steps();
    let executed = ExecutedScripts::run(project, &steps).await?;
    findings(project, &scripts, &steps, &executed, &declared.schema).await
}

/// Everything that is wrong with the migrations and the statements of a project, whose
/// scripts were executed, in the order of the places.
///
/// # Errors
///
/// [`Error`]: it cannot be said.
pub(crate) async fn findings(
    project: &Project,
    scripts: &Scripts,
    steps: &[ParsedMigration<'_>],
    executed: &ExecutedScripts<'_>,
    declared: &Schema,
) -> Result<Vec<Finding>, Error> {
    let mut findings = scripts.findings.clone();
    findings.extend(syntax::statements(project));
    for step in steps {
        findings.extend(syntax::script(&step.up));
        findings.extend(syntax::script(&step.down));
        findings.extend(syntax::way_back(step));
    }
    for (step, trip) in steps.iter().zip(&executed.trips) {
        for (script, run) in [(&step.up, Some(&trip.up)), (&step.down, trip.down.as_ref())] {
            let Some(run) = run else { continue };
            let denials = run.denials.iter();
            findings.extend(denials.map(|d| Finding::denied(&d.place, &d.denial)));
            if let Some(failure) = &run.failure {
                findings.push(Finding::refused(failure));
            } else {
                let rebuilds = rebuild::rebuilds(script, &run.before);
                findings.extend(destructive::losses(script, &run.before, &rebuilds));
                findings.extend(rebuild::lost_objects(script, run, &rebuilds));
            }
            findings.extend(add_column::columns(script, &run.before).await?);
        }
    }
    findings.extend(executed.incompatible.iter().cloned());
    let newest = executed.scratch.schema();
    findings.extend(renamed_directive::renamed(project, declared, &newest));
    findings.sort_by(|a, b| {
        let key = |f: &Finding| (f.file.clone(), f.line, f.column, f.code);
        key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message))
    });
    findings.dedup();
    Ok(findings)
}
