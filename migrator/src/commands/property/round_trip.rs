//! Migrates a database with rows up, down, and up again.

use std::time::Duration;

use sqlx::SqliteConnection;

use super::{
    case::Case,
    coverage::Coverage,
    data::{self, Contents, dump, move_rows, sequences},
    database::TestDatabase,
    expectation::{ensure, same},
    pairs::Pair,
    surviving::SurvivingColumns,
};
use crate::{
    Error, Migrator, Project,
    commands::check,
    lint::LintCode,
    project::migrations::Direction,
    run::options::Run,
    sqlite::{
        planner::tests::{done, memory, run},
        schema::Schema,
    },
};

/// An upgrade without a backup.
const UP: Run = Run {
    no_backup: true,
    ..Run::upgrade()
};

/// A downgrade without a backup.
const DOWN: Run = Run {
    no_backup: true,
    allow_data_loss: true,
    ..Run::downgrade()
};

/// Two schemas, and the plans between them.
pub(super) struct Plans<'a> {
    pub(super) from: &'a Schema,
    pub(super) to: &'a Schema,
    pub(super) pairs: &'a [Pair<'a>],
    pub(super) surviving: SurvivingColumns<'a>,
}

/// A database in the middle of the steps of a case.
pub(super) struct RoundTrip<'a> {
    pub(super) case: &'a Case,
    pub(super) plans: &'a Plans<'a>,
    pub(super) coverage: &'a Coverage,
    pub(super) database: TestDatabase,
    pub(super) connection: SqliteConnection,
    project: &'a Project,
    /// The migrator without the second migration.
    first: Migrator,
    migrator: Migrator,
}

/// The contents of a database before the upgrade, and those expected after it.
struct Before {
    contents: Contents,
    survivors: Vec<Vec<String>>,
    sequences: Vec<Vec<String>>,
    violations: Result<Vec<String>, ()>,
    /// A database that was created with the schema to reach, with each row that it allows.
    expected: SqliteConnection,
    /// True if it allows all rows.
    is_allowed: bool,
}

impl<'a> RoundTrip<'a> {
    /// Creates a database with the first schema and its rows.
    pub(super) async fn new(
        case: &'a Case,
        before: &Project,
        project: &'a Project,
        plans: &'a Plans<'a>,
        coverage: &'a Coverage,
    ) -> Result<Self, String> {
        let database = TestDatabase::new();
        let first = database.migrator(before);
        first.run(UP).await.map_err(line)?;
        let mut connection = database.connect().await;
        run(&mut connection, "pragma foreign_keys = on").await?;
        for row in &case.rows {
            let _ = run(&mut connection, row).await;
        }
        run(&mut connection, "pragma foreign_keys = off").await?;
        Ok(Self {
            case,
            plans,
            coverage,
            migrator: database.migrator(project),
            database,
            connection,
            project,
            first,
        })
    }

    /// Runs all steps.
    pub(super) async fn run(mut self) -> Result<(), String> {
        self.check().await?;
        let mut before = self.before().await;
        if !self.up(&mut before).await? || self.plans.from == self.plans.to {
            return Ok(());
        }
        if !self.down(&before).await? || !self.up_again(&before).await? {
            return Ok(());
        }
        self.write().await?;
        self.downgrade(false).await?;
        Ok(())
    }

    /// Checks that `check` finds nothing in the project.
    async fn check(&self) -> Result<(), String> {
        let report = check::check(self.project).await.map_err(line)?;
        let mut findings = report.lint.findings.iter();
        let is_accepted = findings.all(|finding| finding.code == LintCode::AllColumns);
        ensure!(
            report.declared.ok && report.steps.ok && is_accepted,
            "check: {report}"
        );
        Ok(())
    }

    async fn before(&mut self) -> Before {
        let Plans { from, pairs, .. } = *self.plans;
        let connection = &mut self.connection;
        let mut expected = memory().await;
        done(&mut expected, &self.case.to_tables).await;
        let is_allowed = move_rows(connection, &mut expected, pairs).await
            && data::violations(&mut expected).await == Ok(Vec::new());
        let surviving = &self.plans.surviving;
        let survivors = surviving.read(connection, |pair| pair.before, false).await;
        if survivors.iter().any(|rows| !rows.is_empty()) {
            Coverage::count(&self.coverage.with_rows);
        }
        Before {
            contents: dump(connection, from).await,
            survivors,
            sequences: sequences(connection, pairs, |pair| pair.before).await,
            violations: data::violations(connection).await,
            expected,
            is_allowed,
        }
    }

    /// Upgrades. Returns false if the rows do not allow it.
    async fn up(&mut self, before: &mut Before) -> Result<bool, String> {
        let Plans {
            from, to, pairs, ..
        } = *self.plans;
        let checked = self.migrator.lock_time(Duration::MAX).await.map_err(line)?;
        let upgraded = self.migrator.run(UP).await;
        ensure!(
            upgraded.is_ok() == checked.is_empty(),
            "check: {checked:?}, but upgrade: {upgraded:?}"
        );
        let connection = &mut self.connection;
        if let Err(error) = upgraded {
            let error = error.line();
            ensure!(
                !before.is_allowed,
                "the upgrade fails on allowed rows: {error}"
            );
            let schema = Schema::read(connection).await.unwrap();
            ensure!(schema == *from, "a failed upgrade changed the schema");
            let found = dump(connection, from).await;
            ensure!(found == before.contents, "a failed upgrade changed rows");
            Coverage::count(&self.coverage.failed);
            return Ok(false);
        }
        Coverage::count(&self.coverage.up);
        reaches(&self.migrator, connection, to, "up").await?;
        let drift = self.migrator.diff().await.map_err(line)?;
        ensure!(!drift.drift, "{drift}");
        let found = dump(connection, to).await;
        same(&found, &dump(&mut before.expected, to).await, "up")?;
        let found = data::violations(connection).await;
        let expected = data::violations(&mut before.expected).await;
        same(&found, &expected, "foreign keys")?;
        let found = sequences(connection, pairs, |pair| pair.after).await;
        same(&found, &before.sequences, "sequences")?;
        Ok(true)
    }

    /// Downgrades. Returns false if it failed as announced.
    async fn down(&mut self, before: &Before) -> Result<bool, String> {
        let Plans {
            from,
            pairs,
            surviving,
            ..
        } = self.plans;
        let must = !surviving.may_fail;
        if !self.downgrade(must).await? {
            return Ok(false);
        }
        let connection = &mut self.connection;
        reaches(&self.first, connection, from, "down").await?;
        let back = surviving.read(connection, |pair| pair.before, false).await;
        same(&back, &before.survivors, "down")?;
        let found = sequences(connection, pairs, |pair| pair.before).await;
        same(&found, &before.sequences, "sequences, down")?;
        if must && pairs.len() == from.tables.len() && surviving.all {
            let found = data::violations(connection).await;
            same(&found, &before.violations, "foreign keys, down")?;
        }
        Coverage::count(&self.coverage.down);
        Ok(true)
    }

    /// Upgrades again. Returns false if the values that the downgrade filled in do not allow it.
    async fn up_again(&mut self, before: &Before) -> Result<bool, String> {
        let surviving = &self.plans.surviving;
        if let Err(error) = self.migrator.run(UP).await {
            ensure!(surviving.may_fail, "up again: {}", error.line());
            return Ok(false);
        }
        let connection = &mut self.connection;
        reaches(&self.migrator, connection, self.plans.to, "up again").await?;
        let again = surviving.read(connection, |pair| pair.after, true).await;
        same(&again, &before.survivors, "up again")?;
        Coverage::count(&self.coverage.up_again);
        Ok(true)
    }

    /// Reverts the newest migration. A failure must be announced in the head of the script. Returns
    /// whether it succeeded.
    async fn downgrade(&self, must: bool) -> Result<bool, String> {
        let Err(error) = self.migrator.run(DOWN).await else {
            return Ok(true);
        };
        ensure!(!must, "down: {}", error.line());
        let migrations = self.project.migrations().unwrap();
        let script = migrations.get(migrations.newest()).unwrap();
        let script = script.script(Direction::Down);
        ensure!(
            script.contains("-- This down migration fails:"),
            "the head of the down script announces no failure: {}",
            error.line()
        );
        Ok(false)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the signature of `map_err`")]
fn line(error: Error) -> String {
    error.line()
}

/// Checks that a database has a schema, and that SQLite reads its dump as this schema.
async fn reaches(
    migrator: &Migrator,
    connection: &mut SqliteConnection,
    wanted: &Schema,
    step: &str,
) -> Result<(), String> {
    let found = Schema::read(connection).await.unwrap();
    ensure!(
        found == *wanted,
        "{step}: it is\n{}instead of\n{}",
        found.catalog().ddl(),
        wanted.catalog().ddl()
    );
    let wrong = data::integrity(connection).await;
    ensure!(wrong.is_empty(), "{step}: {wrong:?}");
    let dump = migrator.dump().await.map_err(|error| error.line())?.ddl;
    let mut copy = memory().await;
    run(&mut copy, &dump)
        .await
        .map_err(|error| format!("{step}: {error} in the dump\n{dump}"))?;
    let copied = Schema::read(&mut copy).await.unwrap();
    let differences = wanted.catalog().differences(&copied.catalog());
    let lines: Vec<_> = differences.iter().map(ToString::to_string).collect();
    ensure!(
        copied == *wanted,
        "{step}: the dump is another schema: {lines:?}\n{dump}"
    );
    same(&copied.catalog().ddl(), &dump, "the dump of the dump")?;
    Ok(())
}
