//! Generates the migrations of a case, and checks that only what has no plan is rejected.

use database::settings::DatabaseUrl;

use super::{
    case::Case,
    coverage::Coverage,
    data::{self, move_rows},
    expectation::ensure,
    oracle,
    pairs::{Pair, pairs},
    round_trip::{Plans, RoundTrip},
    surviving::SurvivingColumns,
};
use crate::{
    Project,
    commands::check,
    lint::LintCode,
    project::{Owner, ReleaseRecord},
    sqlite::planner::{
        Question, plan, plan_down,
        tests::{declared, done, memory, run},
    },
    state::application::Application,
};

impl Case {
    /// Generates the migrations, and runs them if there is a plan.
    pub(super) async fn run(&self, coverage: &Coverage) -> Result<(), String> {
        let mut project = project(&self.from);
        if let Some(broken) = oracle::unusable(&self.from).await {
            return must_be_unusable(&project, &broken, coverage).await;
        }
        self.add_first(&mut project).await?;
        self.to.clone_into(&mut project.owners[0].schema);
        if let Some(broken) = oracle::unusable(&self.to).await {
            return must_be_unusable(&project, &broken, coverage).await;
        }
        let (from, to) = (declared(&self.from).await, declared(&self.to).await);
        let renames = self.renames(&from, &to);
        let renames = renames.map_err(|error| error.to_string())?;
        let (up, down) = match (plan(&from, &to, &renames), plan_down(&from, &to, &renames)) {
            (Ok(up), Ok(down)) => (up, down),
            (Err(error), _) | (_, Err(error)) => {
                oracle::right_refusal(&error, &to)?;
                Coverage::count(&coverage.refused);
                return Ok(());
            }
        };
        let pairs = pairs(&from, &to, &renames);
        let before = project.clone();
        let is_changed = match self.generate(&mut project, "second").await {
            Err(error) if error.contains(" M001 ") => {
                ensure!(!self.are_rows_kept(&pairs).await?, "{error}");
                Coverage::count(&coverage.refused);
                return Ok(());
            }
            is_changed => is_changed?,
        };
        ensure!(
            is_changed == (from != to),
            "a migration was written: {is_changed}"
        );
        let plans = Plans {
            from: &from,
            to: &to,
            pairs: &pairs,
            surviving: SurvivingColumns::new(&pairs, &up, &down),
        };
        coverage.count_plan(&up, &from, &to);
        let round_trip = RoundTrip::new(self, &before, &project, &plans, coverage).await;
        let result = round_trip?.run().await;
        let (up, down) = (up.script(), down.script());
        result.map_err(|error| format!("{error}\n--- up\n{up}--- down\n{down}"))
    }

    /// Adds the migration to the first schema.
    async fn add_first(&self, project: &mut Project) -> Result<(), String> {
        if self.is_related {
            let down = "-- @irreversible the other test generates the first migration";
            project.owners[0].add("0001_first.up.sql".as_ref(), &self.from);
            project.owners[0].add("0001_first.down.sql".as_ref(), down);
        } else {
            self.generate(project, "first").await?;
        }
        Ok(())
    }

    /// Reports whether the declaration allows the rows, and each table has two of them.
    async fn are_rows_kept(&self, pairs: &[Pair<'_>]) -> Result<bool, String> {
        let mut database = memory().await;
        done(&mut database, &self.from).await;
        run(&mut database, "pragma foreign_keys = on").await?;
        for row in &self.rows {
            let _ = run(&mut database, row).await;
        }
        let mut expected = memory().await;
        done(&mut expected, &self.to_tables).await;
        Ok(data::min_rows(&mut database, pairs).await > 1
            && move_rows(&mut database, &mut expected, pairs).await)
    }

    /// Generates and adds the missing migration. Returns whether one was missing.
    async fn generate(&self, project: &mut Project, name: &str) -> Result<bool, String> {
        let answer =
            |question: &Question| Some(self.answer(question).map(|old| old.spelled().to_owned()));
        let missing = project.missing_migrations(name, true, answer).await;
        let missing = missing.map_err(|error| format!("migrate: {}", error.line()))?;
        for new in &missing.migrations {
            *project = project.with(new);
        }
        Ok(!missing.migrations.is_empty())
    }
}

/// Returns a project with a declared schema and no migrations.
fn project(schema: &str) -> Project {
    Project {
        owners: vec![Owner {
            name: "user-service".to_owned(),
            schema: schema.to_owned(),
            migrations: Vec::new(),
            recorded: Vec::new(),
            released: ReleaseRecord::default(),
        }],
        application: Application::MICROBLOG,
        database: DatabaseUrl::from_path("microblog.db"),
    }
}

/// Checks that `migrate` and `check` reject a declaration that cannot be used.
async fn must_be_unusable(
    project: &Project,
    broken: &str,
    coverage: &Coverage,
) -> Result<(), String> {
    let missing = project
        .missing_migrations("broken", true, |_| Some(None))
        .await;
    let refused = missing.is_err_and(|error| error.line().contains("cannot be used"));
    ensure!(refused, "migrate accepts what cannot be used: {broken}");
    let report = check::check(project).await.map_err(|error| error.line())?;
    let mut findings = report.lint.findings.iter();
    let found = findings.any(|finding| finding.code == LintCode::Unusable);
    ensure!(found, "check accepts what cannot be used: {broken}");
    Coverage::count(&coverage.unusable);
    Ok(())
}
