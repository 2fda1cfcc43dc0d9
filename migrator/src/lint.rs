//! What is wrong with migrations though SQLite takes them: what fails or loses something
//! in use, and what breaks the programs that run meanwhile.
//!
//! | code | what is wrong |
//! |---|---|
//! | M000 | a script that SQLite refuses |
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
//! Scripts run in memory, on no rows; [`lock_time`](crate::commands::lock_time) runs them on a copy of a database.

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

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    path::PathBuf,
};

use serde::Serialize;

pub(crate) use self::{
    execution::{Failure, Leg, Trial, Way, execute, prepares, said},
    script::Step,
};
use crate::{
    project::{
        Project,
        migrations::{Invalid, Migrations},
    },
    sql::Position,
    sqlite::schema::{self, Schema},
};

/// What kind of thing is wrong. The table is at the head of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub(crate) enum Code {
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

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "M{:03}", *self as u8)
    }
}

/// Something that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) code: Code,
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
            Code::Refused,
            &failure.file,
            failure.place,
            failure.message.clone(),
            "correct the script".into(),
        )
    }

    pub(crate) fn new(
        code: Code,
        file: &str,
        place: Position,
        message: String,
        remedy: String,
    ) -> Self {
        Self {
            code,
            file: file.to_owned(),
            line: place.line,
            column: place.column,
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

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Correct the names of the migrations.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Declare it in another way.
    #[error(transparent)]
    Schema(#[from] schema::Error),
    /// Correct the declaration.
    #[error("what {file} declares is refused by SQLite")]
    Declaration {
        /// As the repository has it.
        file: String,
        /// What SQLite says.
        source: sqlx::Error,
    },
    /// Name another file.
    #[error(
        "{} is not a database of the microblog; name another file with --database-url",
        database.display()
    )]
    Foreign {
        /// The file.
        database: PathBuf,
    },
    /// Name another place for the copy.
    #[error("the database cannot be copied to {}; name a folder with more room", copy.display())]
    Copy {
        /// The copy.
        copy: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Correct the migration.
    #[error("{0}")]
    Refused(Failure),
    /// Read what SQLite says.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
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
    /// [`Invalid`], but not because half of a pair is missing.
    pub(crate) fn of(project: &Project) -> Result<Self, Invalid> {
        let mut files = BTreeMap::new();
        for owner in &project.owners {
            for file in &owner.migrations {
                let key = (owner.name.as_str(), file.name.clone());
                files.insert(key, file.text.as_str());
            }
        }
        let mut halves = BTreeSet::new();
        let mut findings = Vec::new();
        for (owner, name) in files.keys().cloned().collect::<Vec<_>>() {
            let (stem, other) = match name.strip_suffix(".up.sql") {
                Some(stem) => (stem, ".down.sql"),
                None => (name.strip_suffix(".down.sql").unwrap_or(&name), ".up.sql"),
            };
            let missing = format!("{stem}{other}");
            if files.contains_key(&(owner, missing.clone())) {
                continue;
            }
            let digits = stem.split_once('_').map(|(digits, _)| digits);
            halves.extend(digits.and_then(|digits| digits.parse::<i64>().ok()));
            findings.push(Finding::new(
                Code::Pair,
                &format!("{owner}/migrations/{name}"),
                Position { line: 1, column: 1 },
                format!("{missing} is missing"),
                "write it, or restore it".into(),
            ));
            files.insert((owner, missing), "");
        }
        let files = files.iter();
        let files = files.map(|((owner, name), text)| (*owner, name.as_str(), *text));
        Ok(Self {
            migrations: Migrations::from_files(files)?,
            halves,
            findings,
        })
    }

    /// Taken apart.
    pub(crate) fn steps(&self) -> Vec<Step<'_>> {
        let migrations = self.migrations.iter();
        migrations
            .map(|migration| Step::new(migration, self.halves.contains(&migration.number())))
            .collect()
    }
}

/// Everything that is wrong with a project.
#[cfg(test)]
pub(crate) async fn lint(project: &Project) -> Result<Vec<Finding>, crate::Error> {
    let declared = crate::scratch::desired::Declared::of(project).await?;
    let scripts = Scripts::of(project)?;
    let steps = scripts.steps();
    let trial = Trial::run(&steps).await?;
    Ok(findings(project, &scripts, &steps, &trial, &declared.schema).await?)
}

/// Everything that is wrong with the migrations and the statements of a project, whose
/// scripts have run in a trial, in the order of the places.
///
/// # Errors
///
/// [`Error`]: it cannot be said.
pub(crate) async fn findings(
    project: &Project,
    scripts: &Scripts,
    steps: &[Step<'_>],
    trial: &Trial<'_>,
    declared: &Schema,
) -> Result<Vec<Finding>, Error> {
    let mut findings = scripts.findings.clone();
    findings.extend(syntax::statements(project));
    for step in steps {
        findings.extend(syntax::script(&step.up));
        findings.extend(syntax::script(&step.down));
        findings.extend(syntax::way_back(step));
    }
    for leg in &trial.legs {
        if leg.way == Way::Again {
            continue;
        }
        findings.extend(execution::ownership(leg));
        match &leg.result {
            Err(failure) => findings.push(Finding::refused(failure)),
            Ok(after) => {
                let rebuilds = rebuild::rebuilds(leg.script);
                findings.extend(destructive::losses(leg.script, &leg.before, &rebuilds));
                findings.extend(rebuild::lost(leg, after, &rebuilds));
            }
        }
        findings.extend(add_column::columns(leg).await?);
    }
    findings.extend(compatibility::broken(project, steps).await?);
    findings.extend(renamed_directive::renamed(project, declared, &trial.newest));
    findings.sort_by(|a, b| {
        let key = |f: &Finding| (f.file.clone(), f.line, f.column, f.code);
        key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message))
    });
    findings.dedup();
    Ok(findings)
}
