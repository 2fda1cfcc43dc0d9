//! `check`: verifies the declared schema, the migrations, the recorded statements and the history.
//! Knows no SQL.

use std::{fmt, time::Duration};

use serde::Serialize;

use crate::{
    MigrationState, MigrationStatus, Migrator,
    error::{Error, exit::Exit},
    lint::{self, ExecutedScripts, Finding, Scripts},
    project::Project,
    scratch::{RoundTrip, Scratch, desired::DesiredSchema},
    sql::location::SourceLocation,
    sqlite::{execute::try_prepare, schema::Schema},
    state::{catalog::Difference, error::DatabaseError},
};

/// The results of all checks.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// The migrations produce the declared schema.
    pub(crate) declared: Check<Difference>,
    /// Each migration can be applied, reverted and reapplied.
    pub(crate) steps: Check<RoundTripFailure>,
    /// Each statement of the services is valid on the migrated schema.
    pub(crate) statements: Check<BrokenStatement>,
    /// No lint rule is broken.
    pub(crate) lint: Check<Finding>,
    /// The history of the database matches the migrations; `None` without a database.
    pub(crate) history: Option<Check<MigrationStatus>>,
    /// The pending migrations can be applied without blocking the services for too long; `None`
    /// without pending migrations.
    pub(crate) speed: Option<Check<Finding>>,
}

/// The result of one check.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Check<T> {
    /// True without findings.
    pub(crate) ok: bool,
    pub(crate) findings: Vec<T>,
}

/// A migration whose round trip failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RoundTripFailure {
    /// SQLite rejects a script.
    Refused {
        #[serde(flatten)]
        location: SourceLocation,
        /// The error of SQLite.
        message: String,
    },
    /// A script produces another schema than before the round trip.
    #[serde(rename = "not_undone")]
    NotReverted {
        /// The path in the project.
        file: String,
        differences: Vec<Difference>,
    },
}

/// A recorded statement that SQLite rejects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct BrokenStatement {
    /// The file of the record.
    pub(crate) file: String,
    /// The statement in one line.
    pub(crate) statement: String,
    /// The error of SQLite.
    pub(crate) message: String,
}

/// Checks a project without a database.
///
/// # Errors
///
/// [`Error`] if a check cannot be executed.
pub(crate) async fn check(project: &Project) -> Result<CheckReport, Error> {
    let declared = DesiredSchema::new(project).await?;
    let scripts = Scripts::new(project)?;
    let steps = scripts.steps();
    let mut executed = ExecutedScripts::run(project, &steps).await?;
    let findings = lint::findings(project, &scripts, &steps, &executed, &declared).await?;
    Ok(CheckReport {
        declared: differences(&declared.schema, &executed.scratch.schema()).into(),
        steps: round_trip_failures(&executed.trips).into(),
        statements: broken_statements(project, &mut executed.scratch)
            .await
            .into(),
        lint: findings.into(),
        history: None,
        speed: None,
    })
}

impl Migrator {
    /// Checks a project. If the database exists, also checks its history, and that the upgrade of a
    /// copy succeeds and holds the write lock for at most `longest_wait`.
    ///
    /// # Errors
    ///
    /// [`Error`] if a check cannot be executed.
    pub async fn check(
        &self,
        project: &Project,
        longest_wait: Duration,
    ) -> Result<CheckReport, Error> {
        // The copy of a killed check would else remain until the next backup.
        self.backups.remove_leftovers();
        let mut report = check(project).await?;
        let status = match self.status().await {
            Err(Error::Database(DatabaseError::NotFound { .. })) => return Ok(report),
            status => status?,
        };
        let (expected, unexpected): (Vec<_>, Vec<_>) =
            status.migrations.into_iter().partition(|entry| {
                matches!(
                    entry.state,
                    MigrationState::Applied | MigrationState::Pending
                )
            });
        let is_intact = unexpected.is_empty();
        report.history = Some(unexpected.into());
        if is_intact
            && expected
                .iter()
                .any(|entry| entry.state == MigrationState::Pending)
        {
            report.speed = Some(self.lock_time(longest_wait).await?.into());
        }
        Ok(report)
    }
}

impl CheckReport {
    /// Returns 0 if no check failed, otherwise the code of the first failed one: 6 for the history,
    /// 5 for the lint rules, 3 for the declared schema, 1 for the round trips and the statements.
    #[must_use]
    pub fn exit_code(&self) -> Exit {
        let ok = |check: &Option<Check<Finding>>| check.as_ref().is_none_or(|check| check.ok);
        if self.history.as_ref().is_some_and(|history| !history.ok) {
            Exit::History
        } else if !self.lint.ok || !ok(&self.speed) {
            Exit::Rule
        } else if !self.declared.ok {
            Exit::Pending
        } else if self.steps.ok && self.statements.ok {
            Exit::Done
        } else {
            Exit::Failed
        }
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.declared
            .write(f, "the migrations produce the declared schema")?;
        self.steps
            .write(f, "each migration can be applied, reverted and reapplied")?;
        self.statements
            .write(f, "each statement is valid on the migrated schema")?;
        self.lint.write(f, "no lint rule is broken")?;
        if let Some(history) = &self.history {
            history.write(f, "the history of the database is intact")?;
        }
        if let Some(speed) = &self.speed {
            speed.write(
                f,
                "the pending migrations can be applied without blocking the services for too long",
            )?;
        }
        Ok(())
    }
}

impl<T> From<Vec<T>> for Check<T> {
    fn from(findings: Vec<T>) -> Self {
        Self {
            ok: findings.is_empty(),
            findings,
        }
    }
}

impl<T: fmt::Display> Check<T> {
    fn write(&self, f: &mut fmt::Formatter<'_>, title: &str) -> fmt::Result {
        let result = if self.ok { "ok" } else { "failed" };
        writeln!(f, "{result:<6}  {title}")?;
        for finding in &self.findings {
            for line in finding.to_string().lines() {
                writeln!(f, "        {line}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for RoundTripFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { location, message } => write!(f, "{location}: {message}"),
            Self::NotReverted { file, differences } => {
                write!(f, "{file} does not restore the previous schema")?;
                differences
                    .iter()
                    .try_for_each(|difference| write!(f, "\n{difference}"))
            }
        }
    }
}

impl fmt::Display for BrokenStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.file, self.message, self.statement)
    }
}

fn differences(expected: &Schema, actual: &Schema) -> Vec<Difference> {
    expected.catalog().differences(&actual.catalog())
}

fn round_trip_failures(trips: &[RoundTrip<'_>]) -> Vec<RoundTripFailure> {
    let mut found = Vec::new();
    for (run, expected) in trips.iter().flat_map(RoundTrip::runs) {
        match (&run.failure, expected) {
            (Some(failure), _) => found.push(RoundTripFailure::Refused {
                location: failure.location.clone(),
                message: failure.message(),
            }),
            (None, Some(expected)) if *run.after != *expected => {
                found.push(RoundTripFailure::NotReverted {
                    file: run.migration.file(run.direction),
                    differences: differences(expected, &run.after),
                });
            }
            (None, _) => {}
        }
    }
    found
}

async fn broken_statements(project: &Project, scratch: &mut Scratch) -> Vec<BrokenStatement> {
    let mut broken_statements = Vec::new();
    for recorded in project.owners.iter().flat_map(|owner| &owner.recorded) {
        if let Err(message) = try_prepare(scratch.connection(), &recorded.query).await {
            let words: Vec<_> = recorded.query.split_whitespace().collect();
            broken_statements.push(BrokenStatement {
                file: recorded.file.clone(),
                statement: words.join(" "),
                message,
            });
        }
    }
    broken_statements
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        lint::tests::{project, with},
        project::RecordedStatement,
    };

    #[tokio::test]
    async fn the_services_pass_every_check() {
        for project in [Project::embedded().unwrap(), project()] {
            let report = check(&project).await.unwrap();

            assert_eq!(report.exit_code(), Exit::Done, "{report}");
            assert_eq!(report.to_string().matches("ok    ").count(), 4);
        }
    }

    #[tokio::test]
    async fn a_difference_from_the_declared_schema_is_found() {
        let up = "create table a (b); create index users_by_bio on users (bio)";
        let down = "-- @destroys table a\ndrop table a; drop index users_by_bio";
        let mut project = with("users", up, down);
        project.owners[0].schema = project.owners[0]
            .schema
            .replace("bio text", "bio text not null")
            .replace("create table a (b)", "")
            + "create table c (d);";

        let report = check(&project).await.unwrap();

        assert_eq!(report.exit_code(), Exit::Pending, "{report}");
        let lines: Vec<_> = report
            .declared
            .findings
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            lines,
            [
                "table a is unexpected",
                "table c is missing",
                "table users is different\n+ bio text not null\n- bio text",
                "index users_by_bio is unexpected",
            ]
        );
    }

    #[tokio::test]
    async fn a_down_migration_to_another_schema_is_found() {
        let up = "alter table users add column a text";
        let project = with("users", up, "create index a on users (a)");

        let report = check(&project).await.unwrap();

        let [irregularity, refused] = &report.steps.findings[..] else {
            panic!("{report}");
        };
        let text = irregularity.to_string();
        assert!(text.contains("0003_x.down.sql does not restore"), "{text}");
        assert!(text.contains("\n- a text"), "{text}");
        assert!(
            matches!(refused, RoundTripFailure::Refused { .. }),
            "{refused}"
        );
        assert!(report.lint.ok && report.statements.ok, "{report}");
    }

    #[tokio::test]
    async fn an_invalid_statement_is_found() {
        let mut project = project();
        project.owners[1].recorded.push(RecordedStatement {
            file: "posts/.sqlx/query-0.json".into(),
            line: 3,
            query: "select body,\n none from posts".into(),
        });

        let report = check(&project).await.unwrap();

        assert_eq!(report.exit_code(), Exit::Failed, "{report}");
        assert_eq!(
            report.statements.findings[0].to_string(),
            "posts/.sqlx/query-0.json: no such column: none: select body, none from posts"
        );
    }

    #[tokio::test]
    async fn lint_findings_are_in_the_report() {
        let up = "-- Gone.\nalter table users drop bio";
        let project = with("users", up, "alter table users add bio text");

        let report = check(&project).await.unwrap();

        assert_eq!(report.exit_code(), Exit::Rule);
        assert!(report.steps.ok, "{report}");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["lint"]["ok"], false);
        assert_eq!(json["lint"]["findings"][0]["code"], "M002");
    }
}
