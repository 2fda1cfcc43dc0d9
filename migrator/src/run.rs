//! The order of a run: one transaction that starts with the write lock. Other modules implement
//! the steps.

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
        session::{Session, create_file, reject_leftover_log},
    },
    state::{
        catalog::Catalog,
        history::{AppliedMigration, DatabaseState, Identity},
        owners::Owners,
    },
};

/// The result of executing the scripts of a run.
struct ExecutedSteps {
    steps: Vec<StepReport>,
    /// The number of rows that violated a foreign key before the run.
    orphans: usize,
}

impl Migrator {
    /// Applies the pending migrations and creates a missing database first, or reverts the newest
    /// migrations.
    ///
    /// # Errors
    ///
    /// [`Error`]; the database was not changed.
    pub async fn run(&self, run: Run) -> Result<RunReport, Error> {
        self.execute(Some(run)).await
    }

    /// Executes a run; `None` only creates the database. Checks the target before it touches the
    /// database: an invalid number must not create one.
    pub(crate) async fn execute(&self, run: Option<Run>) -> Result<RunReport, Error> {
        sqlite_version::check_minimum().map_err(Error::Library)?;
        if let Some(target) = run.and_then(|run| run.to) {
            plan::check_target(&self.migrations, target)?;
        }
        let exists = self.exists()?;
        if !exists && run.is_some_and(Run::is_downgrade) {
            return Err(self.nothing_to_downgrade());
        }
        if run.is_some() && !is_dry(run) {
            self.backups.remove_leftovers();
        }
        let wait = LockBackoff::new(self.lock_timeout);
        let mut session = if !exists && is_dry(run) {
            Session::open_in_memory(&self.database, self.application, wait).await?
        } else {
            if !exists {
                volume::check_new(&self.database)?;
                reject_leftover_log(&self.database)?;
                create_file(&self.database).map_err(|source| self.unusable(source))?;
            }
            Session::open(&self.database, self.application, wait).await?
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
        // The journal mode is a property of the file, which no rollback reverts.
        if !is_dry(run) {
            session.enable_wal().await?;
        }
        let retention = self.backups.retention();
        session.begin().await?;
        let started = Instant::now();
        let ended = match self.change(session, run).await {
            Ok(report) if report.dry_run => {
                session.rollback().await;
                Ok(report)
            }
            Ok(report) => session.commit().await.map(|()| report).map_err(Into::into),
            Err(error) => {
                session.rollback().await;
                Err(error.rolled_back(&self.database))
            }
        };
        let locked = started.elapsed();
        // After a failure too: repeated failures must not fill the disk. The services do not wait
        // for it, since the lock is released.
        let pruned = retention.prune_after_backup();
        let mut report = ended?;
        report.locked = locked;
        if let Some(backup) = &mut report.backup {
            backup.pruned = pruned;
        }
        Ok(report)
    }

    /// Does the work between BEGIN and COMMIT. Reads the state again: another migrator may have
    /// changed it before this run got the lock.
    async fn change(&self, session: &mut Session, run: Option<Run>) -> Result<RunReport, Error> {
        let connection = session.connection();
        let DatabaseState { identity, applied } =
            history::read(connection, self.application).await?;
        let mut report = self.report(is_dry(run), &applied);
        match identity {
            Identity::Ours => {
                history::backfill_token_hashes(connection, &self.migrations, &applied).await?;
            }
            Identity::Empty => {
                history::create(connection, self.application).await?;
                report.created = true;
            }
            Identity::NoHistory => return Err(self.without_history()),
            Identity::Foreign(reason) => return Err(self.foreign(reason)),
        }
        if let Some(run) = run {
            let steps = Steps::plan(&self.migrations, &applied, run)?;
            if !steps.migrations.is_empty() {
                // Boxed: the whole future would be too large for the stack.
                Box::pin(self.apply_steps(connection, run, &applied, &steps, &mut report)).await?;
            }
        }
        Ok(report)
    }

    /// Applies or reverts the migrations of a run, and adds them to the report.
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

        // The lock is held and the run has steps, but nothing was changed yet: the backup copies
        // the state before the run.
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

    /// Executes the steps on a scratch database, and refuses a drifted live one: the rebuild of a
    /// table would lose objects that no migration created.
    async fn preflight(
        &self,
        connection: &mut SqliteConnection,
        applied: &[AppliedMigration],
        steps: &Steps<'_>,
    ) -> Result<Preflight, Error> {
        let (known, direction) = (&self.migrations, steps.direction);
        let live = Schema::read(connection).await?.catalog();
        if let Some(hole) = plan::hole(known, applied) {
            // The scripts of a history with a hole may fail: then it lacks what they build on.
            let recorded = Preflight::run(known, applied, &[], direction).await;
            if recorded.is_err() || recorded.is_ok_and(|recorded| recorded.before != live) {
                return Err(hole.into());
            }
        }
        let preflight = Preflight::run(known, applied, &steps.migrations, direction).await?;
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

    /// Makes the backup of a run, and verifies it while the scripts are executed. Both must
    /// succeed.
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

    /// Executes the scripts, and refuses new violations of foreign keys.
    async fn execute_scripts(
        &self,
        connection: &mut SqliteConnection,
        steps: &Steps<'_>,
        owners: &[Owners],
    ) -> Result<ExecutedSteps, Error> {
        let task = self.progress.start("migrating", 0);
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
        task.finish();
        Ok(ExecutedSteps {
            steps: executed,
            orphans: before.count(),
        })
    }

    /// Returns the report of a run without steps.
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

/// Reports whether the run is a dry run. Creating a database is not.
fn is_dry(run: Option<Run>) -> bool {
    run.is_some_and(|run| run.dry_run)
}

/// Refuses a downgrade that is irreversible or loses data, unless the caller allows it. Returns
/// the losses, and the row counts of the surviving tables.
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

/// Refuses a run that did not produce the expected schema.
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
