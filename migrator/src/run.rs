//! A run: what is done between the lock and the end of the one transaction. What is done
//! in each step stands in other modules; here is the order.

pub(crate) mod data_loss;
pub(crate) mod options;
pub(crate) mod plan;
mod steps;

use std::time::{Duration, Instant};

use database::sqlite::{sqlite_version, volume};
use sqlx::SqliteConnection;

use self::{
    data_loss::{DataLoss, RowCounts},
    options::Run,
    steps::Steps,
};
use crate::{
    Migrator,
    error::{Error, run::RunError},
    project::migrations::Direction,
    report::{RunReport, StepReport},
    scratch::preflight::Preflight,
    sqlite::{
        backup::Backup,
        execute::{Script, execute, no_observer},
        guard::Policy,
        history,
        lock_backoff::LockBackoff,
        orphans::Orphans,
        schema::Schema,
        session::{Session, create_file},
    },
    state::{
        catalog::Catalog,
        history::{AppliedMigration, DatabaseState, Identity},
        owners::Owners,
    },
};

/// What the scripts of a run did.
struct ExecutedSteps {
    steps: Vec<StepReport>,
    /// How many rows referred to nothing before.
    orphans: usize,
}

impl Migrator {
    /// Applies what is not applied yet, and creates a missing database first; or reverts the
    /// newest migration, or several.
    ///
    /// # Errors
    ///
    /// [`Error`]; the database is then as it was.
    pub async fn run(&self, run: Run) -> Result<RunReport, Error> {
        self.execute(Some(run)).await
    }

    /// Does a run; `None` only creates the database. What does not touch the database comes
    /// first, so that a wrong number creates none.
    pub(crate) async fn execute(&self, run: Option<Run>) -> Result<RunReport, Error> {
        sqlite_version::check_minimum().map_err(Error::Library)?;
        if let Some(target) = run.and_then(|run| run.to) {
            plan::check_target(&self.migrations, target)?;
        }
        let there = self.exists()?;
        if !there && run.is_some_and(Run::is_downgrade) {
            return Err(self.nothing_to_downgrade());
        }
        let wait = LockBackoff::new(self.lock_timeout);
        let mut session = if !there && is_dry(run) {
            Session::open_in_memory(&self.database, wait).await?
        } else {
            if !there {
                volume::check_new(&self.database)?;
                create_file(&self.database).map_err(|source| self.unusable(source))?;
            }
            Session::open(&self.database, wait).await?
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
        let DatabaseState { identity, applied } = session.read_state().await?;
        match (identity, run) {
            (Identity::Foreign(reason), _) => return Err(self.foreign(reason)),
            (Identity::NoHistory, _) => return Err(self.without_history()),
            (Identity::Empty, Some(run)) if run.is_downgrade() => {
                return Err(self.nothing_to_downgrade());
            }
            (Identity::Ours, None) => return Ok(self.report(false, &applied)),
            _ => {}
        }
        // It is a property of the file, and no rollback undoes it.
        if !is_dry(run) {
            session.enable_wal().await?;
        }
        session.begin().await?;
        let began = Instant::now();
        match self.change(session, run).await {
            Ok(mut report) => {
                if report.dry_run {
                    session.rollback().await;
                } else {
                    session.commit().await?;
                }
                report.locked = began.elapsed();
                Ok(report)
            }
            Err(error) => {
                session.rollback().await;
                Err(error.rolled_back(&self.database))
            }
        }
    }

    /// Everything between BEGIN and COMMIT. What was seen before may be out of date by
    /// now: another migrator can have been here.
    async fn change(&self, session: &mut Session, run: Option<Run>) -> Result<RunReport, Error> {
        let connection = session.connection();
        let DatabaseState { identity, applied } = history::read(connection).await?;
        let mut report = self.report(is_dry(run), &applied);
        match identity {
            Identity::Ours => {
                history::backfill_token_hashes(connection, &self.migrations, &applied).await?
            }
            Identity::Empty => {
                history::create(connection).await?;
                report.created = true;
            }
            Identity::NoHistory => return Err(self.without_history()),
            Identity::Foreign(reason) => return Err(self.foreign(reason)),
        }
        if let Some(run) = run {
            let steps = Steps::plan(&self.migrations, &applied, run)?;
            if !steps.migrations.is_empty() {
                // On the heap: the whole future would be too large for a stack.
                Box::pin(self.apply_steps(connection, run, &applied, &steps, &mut report)).await?;
            }
        }
        Ok(report)
    }

    /// Does the steps of a run that has some, and adds them to its report.
    async fn apply_steps(
        &self,
        connection: &mut SqliteConnection,
        run: Run,
        applied: &[AppliedMigration],
        steps: &Steps<'_>,
        report: &mut RunReport,
    ) -> Result<(), Error> {
        let mut preflight = self.preflight(connection, applied, steps).await?;
        let (losses, rows) = guard_downgrade(connection, run, steps, &mut preflight).await?;
        report.losses = losses;

        // Here the lock is taken, the run is known to do something, and nothing has been
        // done yet.
        let executing = self.execute_scripts(connection, steps, &preflight.owners);
        let (backup, executed) = self.back_up_while(run, steps, executing).await?;
        report.backup = backup;
        report.steps = executed.steps;
        report.orphans = executed.orphans;
        report.losses.extend(rows.lost(connection).await?);
        run.refuse_loss(&report.losses)?;

        report.version = steps.to;
        verify_reached(connection, steps, &preflight.after).await
    }

    /// Does the steps on a scratch database, and refuses a live one that is not what they
    /// begin with: what nobody knows of could be lost with a table that is made anew.
    async fn preflight(
        &self,
        connection: &mut SqliteConnection,
        applied: &[AppliedMigration],
        steps: &Steps<'_>,
    ) -> Result<Preflight, Error> {
        let (migrations, direction) = (&steps.migrations, steps.direction);
        let preflight = Preflight::run(&self.migrations, applied, migrations, direction).await?;
        let live = Schema::read(connection).await?.catalog();
        if live == preflight.before {
            return Ok(preflight);
        }
        Err(RunError::Drift {
            database: self.name(),
            version: steps.from,
            difference: preflight.before.difference_names(&live),
        }
        .into())
    }

    /// Makes the backup that a run has to make, and verifies it while the scripts are
    /// executed: both have to succeed.
    async fn back_up_while<T>(
        &self,
        run: Run,
        steps: &Steps<'_>,
        executing: impl Future<Output = Result<T, Error>>,
    ) -> Result<(Option<Backup>, T), Error> {
        if run.no_backup || run.dry_run || steps.from == 0 {
            return Ok((None, executing.await?));
        }
        let taken = self
            .backups
            .copy_locked(&steps.reason(), &self.progress)
            .await?;
        let (verified, executed) = tokio::join!(taken.verify(&self.progress), executing);
        let executed = executed?;
        Ok((Some(verified?), executed))
    }

    /// Executes the scripts, and sees to it that they leave no row that refers to nothing.
    async fn execute_scripts(
        &self,
        connection: &mut SqliteConnection,
        steps: &Steps<'_>,
        owners: &[Owners],
    ) -> Result<ExecutedSteps, Error> {
        let work = self.progress.begin("migrating", 0);
        let direction = steps.direction;
        let before = Orphans::read(connection).await?;
        let mut executed = Vec::new();
        for (migration, owners) in steps.migrations.iter().zip(owners) {
            let script = Script::new(migration, direction);
            let mut execution =
                execute(connection, &script, owners, Policy::Enforce, no_observer).await?;
            execution.refuse(migration, direction)?;
            let step = StepReport::new(migration, direction, execution.statements);
            match direction {
                Direction::Up => history::record(connection, migration, step.elapsed).await?,
                Direction::Down => history::remove(connection, migration).await?,
            }
            executed.push(step);
        }
        Orphans::read(connection).await?.reject_new(&before)?;
        work.end();
        Ok(ExecutedSteps {
            steps: executed,
            orphans: before.count(),
        })
    }

    /// The report of a run that has done nothing yet.
    pub(crate) fn report(&self, dry_run: bool, applied: &[AppliedMigration]) -> RunReport {
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
}

/// To create a database is no run, and not dry.
fn is_dry(run: Option<Run>) -> bool {
    run.is_some_and(|run| run.dry_run)
}

/// Refuses a downgrade that says of itself that it cannot be undone, or that loses something,
/// unless it is allowed to. Yields what it loses, and counts the rows of the tables that stay.
async fn guard_downgrade(
    connection: &mut SqliteConnection,
    run: Run,
    steps: &Steps<'_>,
    preflight: &mut Preflight,
) -> Result<(Vec<DataLoss>, RowCounts), Error> {
    if !run.is_downgrade() {
        return Ok((Vec::new(), RowCounts::default()));
    }
    if !run.allow_data_loss {
        steps.refuse_irreversible()?;
    }
    let dropped = std::mem::take(&mut preflight.dropped);
    let losses = data_loss::measure(connection, &preflight.before, dropped).await?;
    run.refuse_loss(&losses)?;
    let surviving = std::mem::take(&mut preflight.surviving);
    Ok((losses, RowCounts::read(connection, surviving).await?))
}

/// Refuses what did not lead to the schema that it should have led to.
async fn verify_reached(
    connection: &mut SqliteConnection,
    steps: &Steps<'_>,
    expected: &Catalog,
) -> Result<(), Error> {
    let reached = Schema::read(connection).await?.catalog();
    if reached == *expected || steps.are_irreversible() {
        return Ok(());
    }
    Err(RunError::NotReached {
        version: steps.to,
        difference: expected.difference_names(&reached),
    }
    .into())
}
