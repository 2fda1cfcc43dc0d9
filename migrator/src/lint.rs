//! The rules for migrations: they reject what SQLite accepts, but fails or loses data on a
//! live database, or breaks the services that run during an upgrade.
//!
//! | code | finding |
//! |---|---|
//! | M000 | SQLite rejects a script, or a copy of the database cannot be upgraded |
//! | M001 | an added column that a table with rows rejects: NOT NULL without a default, with a default that is not constant, or with one that rows share in a unique key |
//! | M002 | a destructive change without its `@destroys` directive |
//! | M003 | a change to a table of another service |
//! | M004 | `select *`, `returning *` or `t.*` |
//! | M005 | a statement of the previous release no longer works |
//! | M006 | the run holds the write lock for longer than the services wait for it |
//! | M007 | one file of a pair is missing, or a down migration without a statement and a reason |
//! | M008 | a statement that no migration may contain: of transactions, PRAGMA, ATTACH, VACUUM, temporary or virtual tables |
//! | M009 | a rebuild loses an index, a trigger, a view, a reference or the AUTOINCREMENT sequence |
//! | M010 | `@renamed from=` names an unknown object |
//! | M011 | a declared view, trigger or foreign key that SQLite rejects when it is used |
//!
//! A code never changes its meaning. An intended loss has a directive, a comment on the line
//! above the statement, or for a rebuild above one of its statements: `-- @destroys table users`,
//! `-- @destroys column users.bio` or `-- @destroys rows users`.
//!
//! The scripts run on a scratch database without rows; only M006 needs a copy of the database.

mod add_column;
mod compatibility;
mod destructive;
mod execution;
mod finding;
mod rebuild;
mod renamed_directive;
mod rows;
mod script;
mod syntax;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeSet;

pub(crate) use self::{
    execution::ExecutedScripts,
    finding::{Finding, LintCode},
    script::ParsedMigration,
};
use crate::{
    error::Error,
    project::{
        Project,
        migrations::{InvalidMigrations, Migrations},
    },
    scratch::desired::DesiredSchema,
    sql::location::SourceLocation,
};

/// The migrations of a project, with an empty script for each missing file.
#[derive(Debug)]
pub(crate) struct Scripts {
    migrations: Migrations,
    /// The numbers of the migrations with a missing file.
    incomplete: BTreeSet<i64>,
    findings: Vec<Finding>,
}

impl Scripts {
    /// Reads the migrations of a project.
    ///
    /// # Errors
    ///
    /// [`InvalidMigrations`], except for a missing file of a pair.
    pub(crate) fn new(project: &Project) -> Result<Self, InvalidMigrations> {
        let (migrations, missing) = Migrations::with_missing(project.migration_files())?;
        let findings = missing.iter().map(|pair| {
            let file = pair.file.rsplit('/').next().unwrap_or_default();
            Finding::new(
                LintCode::Pair,
                &SourceLocation::start_of(&pair.other),
                format!("{file} is missing"),
                "write it, or restore it".into(),
            )
        });
        Ok(Self {
            migrations,
            incomplete: missing.iter().map(|pair| pair.number).collect(),
            findings: findings.collect(),
        })
    }

    /// Parses the scripts of all migrations.
    pub(crate) fn steps(&self) -> Vec<ParsedMigration<'_>> {
        let migrations = self.migrations.iter();
        migrations
            .map(|migration| {
                ParsedMigration::new(migration, self.incomplete.contains(&migration.number()))
            })
            .collect()
    }
}

/// Returns all findings of a project.
#[cfg(test)]
pub(crate) async fn lint(project: &Project) -> Result<Vec<Finding>, Error> {
    let declared = crate::scratch::desired::DesiredSchema::new(project).await?;
    let scripts = Scripts::new(project)?;
    let steps = scripts.steps();
    let executed = ExecutedScripts::run(project, &steps).await?;
    findings(project, &scripts, &steps, &executed, &declared).await
}

/// Returns the findings of the migrations and the statements of a project, ordered by location.
///
/// # Errors
///
/// [`Error`] if a rule cannot be checked.
pub(crate) async fn findings(
    project: &Project,
    scripts: &Scripts,
    steps: &[ParsedMigration<'_>],
    executed: &ExecutedScripts<'_>,
    declared: &DesiredSchema,
) -> Result<Vec<Finding>, Error> {
    let mut findings = scripts.findings.clone();
    findings.extend(syntax::statements(project));
    for step in steps {
        findings.extend(syntax::script(&step.up));
        findings.extend(syntax::script(&step.down));
        findings.extend(syntax::down_migration(step));
    }
    for (step, trip) in steps.iter().zip(&executed.trips) {
        for (script, run) in [(&step.up, Some(&trip.up)), (&step.down, trip.down.as_ref())] {
            let Some(run) = run else { continue };
            let denials = run.denials.iter();
            findings.extend(denials.map(|d| Finding::denied(&d.location, &d.denial)));
            if let Some(failure) = &run.failure {
                findings.push(Finding::refused(failure));
            } else {
                let rebuilds = rebuild::rebuilds(script, &run.before);
                findings.extend(destructive::unmarked_changes(
                    script,
                    &run.before,
                    &rebuilds,
                ));
                findings.extend(rebuild::lost_objects(script, run, &rebuilds));
            }
            findings.extend(add_column::columns(script, &run.before).await?);
        }
    }
    findings.extend(executed.incompatible.iter().cloned());
    let newest = executed.scratch.schema();
    findings.extend(renamed_directive::renamed(
        project,
        &declared.schema,
        &newest,
    ));
    findings.extend(declared.unusable.iter().map(Finding::unusable));
    findings.extend(executed.rejected_rows.iter().cloned());
    findings.sort_by(|a, b| {
        let key = |f: &Finding| (f.file.clone(), f.line, f.column, f.code);
        key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message))
    });
    findings.dedup();
    Ok(findings)
}
