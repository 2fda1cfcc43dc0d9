//! The migrator of a PostgreSQL database.
//!
//! A run is one transaction under an advisory lock, as on SQLite it is one under the write lock. Each
//! script runs with the role of its owner, which is the only one that may change its tables. No
//! backup is made: PostgreSQL has its own tools.

mod error;
mod history;
mod roles;
mod script;
mod session;

use std::time::{Duration, Instant};

use database::postgres::PostgresUrl;
use sqlx::PgConnection;

pub use self::error::PostgresError;
use self::{roles::Roles, session::Session};
use crate::{
    error::{Error, run::RunError},
    project::migrations::{Direction, Migrations},
    report::{RunReport, Status, StepReport, WaitReport, progress::Progress},
    run::{
        options::Run,
        plan::{self, PlanError},
        steps::Steps,
    },
    state::{
        application::Application,
        database_name::DatabaseName,
        error::DatabaseError,
        history::{AppliedMigration, DatabaseState, Identity},
    },
};

/// The time between two reads of the history.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A PostgreSQL database and its migrations. Each command is a method.
#[derive(Clone, Debug)]
pub struct PostgresMigrator {
    pub(crate) url: PostgresUrl,
    pub(crate) application: Application,
    pub(crate) lock_timeout: Duration,
    pub(crate) migrations: Migrations,
    pub(crate) progress: Progress,
}

impl PostgresMigrator {
    /// Creates the database, if the role may, with an empty history. Leaves an existing database
    /// unchanged.
    ///
    /// # Errors
    ///
    /// [`Error`], in particular if the roles of the owners are missing.
    pub async fn create(&self) -> Result<RunReport, Error> {
        self.execute(None).await
    }

    /// Applies the pending migrations and creates a missing database first, or reverts the newest
    /// migrations.
    ///
    /// # Errors
    ///
    /// [`Error`]; the database was not changed.
    pub async fn run(&self, run: Run) -> Result<RunReport, Error> {
        self.execute(Some(run)).await
    }

    /// Returns the state of each migration.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::NotFound`] without a database.
    pub async fn status(&self) -> Result<Status, Error> {
        let applied = self.history().await?;
        Ok(Status::new(self.name(), &self.migrations, &applied))
    }

    /// Waits up to `timeout` until the database exists at `version`, by default the newest, or
    /// at a later one. Returns the version that it is at.
    ///
    /// # Errors
    ///
    /// [`PlanError::Behind`] after the timeout. Any error that waiting cannot resolve is returned
    /// immediately.
    pub async fn wait(&self, version: Option<i64>, timeout: Duration) -> Result<WaitReport, Error> {
        let target = version.unwrap_or_else(|| self.migrations.newest());
        let started = Instant::now();
        loop {
            let found = match self.history().await {
                Ok(applied) => Some(plan::version(&applied)),
                Err(Error::Database(
                    DatabaseError::NotFound { .. } | DatabaseError::Unreachable { .. },
                )) => None,
                Err(error) => return Err(error),
            };
            match found {
                Some(version) if version >= target => {
                    let database = self.name();
                    return Ok(WaitReport { database, version });
                }
                _ if started.elapsed() >= timeout => {
                    return Err(PlanError::Behind {
                        database: self.name(),
                        version: found,
                        wanted: target,
                        waited: timeout,
                    }
                    .into());
                }
                _ => tokio::time::sleep(POLL_INTERVAL).await,
            }
        }
    }

    pub(crate) fn name(&self) -> DatabaseName {
        DatabaseName::from_url(&self.url)
    }

    /// Reads the history of a database of this application.
    async fn history(&self) -> Result<Vec<AppliedMigration>, Error> {
        let mut session = Session::open(&self.url).await?;
        let state = history::read(session.connection(), self.application).await;
        session.close().await;
        let DatabaseState { identity, applied } = state?;
        match identity {
            Identity::Ours => Ok(applied),
            Identity::Empty => Err(self.not_created()),
            Identity::NoHistory => Err(self.without_history()),
            Identity::Foreign(reason) => Err(self.foreign(reason)),
        }
    }

    /// Executes a run; `None` only creates the database.
    async fn execute(&self, run: Option<Run>) -> Result<RunReport, Error> {
        if let Some(target) = run.and_then(|run| run.to) {
            plan::check_target(&self.migrations, target)?;
        }
        let opened = Session::open(&self.url).await;
        let mut session = match opened {
            Err(DatabaseError::NotFound { .. }) if !run.is_some_and(|run| run.dry_run) => {
                if run.is_some_and(Run::is_downgrade) {
                    return Err(self.nothing_to_downgrade());
                }
                session::create_database(&self.url).await?;
                Session::open(&self.url).await?
            }
            opened => opened?,
        };
        let result = self.execute_in(&mut session, run).await;
        session.close().await;
        result
    }

    async fn execute_in(
        &self,
        session: &mut Session,
        run: Option<Run>,
    ) -> Result<RunReport, Error> {
        session.begin(self.lock_timeout).await?;
        let started = Instant::now();
        let changed = self.change(session.connection(), run).await;
        let ended = match changed {
            Ok(report) if report.dry_run => {
                session.rollback().await;
                Ok(report)
            }
            Ok(report) => session.commit().await.map(|()| report).map_err(Error::from),
            Err(error) => {
                session.rollback().await;
                Err(Error::RolledBack(Box::new(error)))
            }
        };
        let mut report = ended?;
        report.locked = started.elapsed();
        Ok(report)
    }

    /// Does the work between BEGIN and COMMIT.
    async fn change(
        &self,
        connection: &mut PgConnection,
        run: Option<Run>,
    ) -> Result<RunReport, Error> {
        let DatabaseState { identity, applied } =
            history::read(connection, self.application).await?;
        let mut report = self.report(run.is_some_and(|run| run.dry_run), &applied);
        match identity {
            Identity::Empty if run.is_some_and(Run::is_downgrade) => {
                return Err(self.nothing_to_downgrade());
            }
            Identity::Empty => {
                let roles = Roles::of(&self.migrations);
                roles.check(connection).await?;
                history::create(connection, self.application).await?;
                roles.grant(connection).await?;
                report.created = true;
            }
            Identity::Ours => {}
            Identity::NoHistory => return Err(self.without_history()),
            Identity::Foreign(reason) => return Err(self.foreign(reason)),
        }
        if let Some(run) = run {
            let steps = Steps::plan(&self.migrations, &applied, run)?;
            if let Some(hole) = plan::hole(&self.migrations, &applied) {
                return Err(hole.into());
            }
            self.apply(connection, run, &steps, &mut report).await?;
        }
        Ok(report)
    }

    /// Applies or reverts the migrations of a run, and adds them to the report.
    async fn apply(
        &self,
        connection: &mut PgConnection,
        run: Run,
        steps: &Steps<'_>,
        report: &mut RunReport,
    ) -> Result<(), Error> {
        if run.is_downgrade() {
            if !run.allow_data_loss {
                steps.refuse_irreversible()?;
            }
            for migration in &steps.migrations {
                let script = migration.script(Direction::Down);
                report
                    .losses
                    .extend(script::losses(connection, script).await?);
            }
            run.refuse_loss(&report.losses)?;
        }
        let task = self.progress.start("migrating", 0);
        for migration in &steps.migrations {
            let statements = script::execute(connection, migration, steps.direction).await?;
            let step = StepReport::new(migration, steps.direction, statements);
            match steps.direction {
                Direction::Up => history::record(connection, migration, step.elapsed).await?,
                Direction::Down => history::remove(connection, migration).await?,
            }
            report.steps.push(step);
        }
        task.finish();
        report.version = steps.to;
        Ok(())
    }

    /// Returns the report of a run without steps.
    fn report(&self, dry_run: bool, applied: &[AppliedMigration]) -> RunReport {
        let version = plan::version(applied);
        RunReport {
            database: self.name(),
            dry_run,
            created: false,
            baselined: Vec::new(),
            backup: None,
            steps: Vec::new(),
            locked: Duration::ZERO,
            losses: Vec::new(),
            orphans: 0,
            version_before: version,
            version,
        }
    }

    fn foreign(&self, reason: String) -> Error {
        DatabaseError::Foreign {
            database: self.name(),
            application: self.application,
            reason,
        }
        .into()
    }

    /// Returns the error for a database with tables and without a history.
    fn without_history(&self) -> Error {
        self.foreign("it has tables and no migration history".into())
    }

    fn not_created(&self) -> Error {
        DatabaseError::NotFound {
            database: self.name(),
        }
        .into()
    }

    fn nothing_to_downgrade(&self) -> Error {
        RunError::NothingToDowngrade {
            database: self.name(),
        }
        .into()
    }
}
