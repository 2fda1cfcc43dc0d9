//! A run: what is done between the lock and the end of the one transaction. What is done
//! in each step stands in other modules; here is the order.

pub(crate) mod data_loss;
pub(crate) mod plan;

use std::time::{Duration, Instant};

use database::sqlite::{sqlite_version, volume};
use sqlx::SqliteConnection;

use self::data_loss::{Loss, Rows};
use crate::{
    Downgrade, Migrator, Upgrade,
    error::Error,
    project::migrations::{Direction, Migration},
    report::{Report, Step},
    scratch::preflight::Preflight,
    sqlite::{
        execute,
        guard::Owners,
        history::{self, Applied, Identity, View},
        lock_backoff::Wait,
        orphans::Orphans,
        schema::Schema,
        session::{Session, make_file},
    },
};

/// What a run is to reach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    Created,
    Upgraded(Upgrade),
    Downgraded(Downgrade),
}

impl Goal {
    fn target(self) -> Option<i64> {
        match self {
            Self::Created => None,
            Self::Upgraded(Upgrade { to, .. }) | Self::Downgraded(Downgrade { to, .. }) => to,
        }
    }

    fn is_dry(self) -> bool {
        match self {
            Self::Created => false,
            Self::Upgraded(Upgrade { dry_run, .. })
            | Self::Downgraded(Downgrade { dry_run, .. }) => dry_run,
        }
    }

    fn wants_backup(self) -> bool {
        match self {
            Self::Created => false,
            Self::Upgraded(Upgrade { no_backup, .. })
            | Self::Downgraded(Downgrade { no_backup, .. }) => !no_backup && !self.is_dry(),
        }
    }
}

impl Migrator {
    /// What does not touch the database comes first, so that a wrong number creates none.
    pub(crate) async fn run(&self, goal: Goal) -> Result<Report, Error> {
        sqlite_version::check().map_err(Error::Library)?;
        if let Some(target) = goal.target() {
            plan::check_target(&self.migrations, target)?;
        }
        let there = self.exists()?;
        if !there && let Goal::Downgraded(_) = goal {
            return Err(self.nothing_to_downgrade());
        }
        let wait = Wait::new(self.lock_timeout);
        let mut session = if !there && goal.is_dry() {
            Session::memory(&self.database, wait).await?
        } else {
            if !there {
                volume::check_new(&self.database)?;
                make_file(&self.database).map_err(|source| self.unusable(source))?;
            }
            Session::open(&self.database, wait).await?
        };
        let result = self.run_in(&mut session, goal).await;
        session.close().await;
        result
    }

    async fn run_in(&self, session: &mut Session, goal: Goal) -> Result<Report, Error> {
        let View { identity, applied } = session.look().await?;
        match (identity, goal) {
            (Identity::Foreign(why), _) => return Err(self.foreign(why)),
            (Identity::Unclaimed, _) => return Err(self.unclaimed()),
            (Identity::Empty, Goal::Downgraded(_)) => return Err(self.nothing_to_downgrade()),
            (Identity::Ours, Goal::Created) => return Ok(self.report(goal, &applied)),
            _ => {}
        }
        // It is a property of the file, and no rollback undoes it.
        if !goal.is_dry() {
            session.enter_wal().await?;
        }
        session.begin().await?;
        let began = Instant::now();
        match self.change(session, goal).await {
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
                Err(error.or_read_only(&self.database))
            }
        }
    }

    /// Everything between BEGIN and COMMIT. What was seen before may be out of date by
    /// now: another migrator can have been here.
    async fn change(&self, session: &mut Session, goal: Goal) -> Result<Report, Error> {
        let connection = session.connection();
        let View { identity, applied } = history::view(connection).await?;
        let mut report = self.report(goal, &applied);
        match identity {
            Identity::Ours => history::complete(connection, &self.migrations, &applied).await?,
            Identity::Empty => {
                history::create(connection).await?;
                report.created = true;
            }
            Identity::Unclaimed => return Err(self.unclaimed()),
            Identity::Foreign(why) => return Err(self.foreign(why)),
        }

        let (direction, steps) = match goal {
            Goal::Created => (Direction::Up, Vec::new()),
            Goal::Upgraded(Upgrade { to, .. }) => {
                let steps = plan::upgrade(&self.migrations, &applied, to)?;
                (Direction::Up, steps)
            }
            Goal::Downgraded(Downgrade { to, .. }) => {
                let steps = plan::downgrade(&self.migrations, &applied, to)?;
                (Direction::Down, steps)
            }
        };
        if !steps.is_empty() {
            self.go(session, goal, &applied, (direction, &steps), &mut report)
                .await?;
        }
        Ok(report)
    }

    /// Goes the steps of a run that has some, and adds them to its report.
    async fn go(
        &self,
        session: &mut Session,
        goal: Goal,
        applied: &[Applied],
        (direction, steps): (Direction, &[&Migration]),
        report: &mut Report,
    ) -> Result<(), Error> {
        let connection = session.connection();
        let preflight = Preflight::of(&self.migrations, applied, steps, direction).await?;
        // What nobody knows of could be lost with a table that is made anew.
        let live = Schema::read(connection).await?;
        if live != *preflight.before {
            return Err(Error::Drift {
                database: self.database.clone(),
                version: report.version_before,
                difference: preflight
                    .before
                    .catalog()
                    .names_of_differences(&live.catalog()),
            });
        }
        let mut rows = None;
        if let Goal::Downgraded(downgrade) = goal {
            refuse_irreversible(downgrade, steps)?;
            report.losses = data_loss::measure(connection, &live, preflight.vanished).await?;
            refuse_loss(downgrade, &report.losses)?;
            rows = Some((
                downgrade,
                Rows::before(connection, &live, preflight.kept).await?,
            ));
        }

        // Here the lock is taken, the run is known to do something, and nothing has been
        // done yet. The copy is compared while the steps run: both have to succeed.
        let taken = if goal.wants_backup() && report.version_before > 0 {
            let why = why(direction, applied, steps);
            Some(self.backups.take(&why, &self.progress).await?)
        } else {
            None
        };
        let verified = async {
            match taken {
                Some(taken) => Ok(Some(taken.verify(&self.progress).await?)),
                None => Ok::<_, Error>(None),
            }
        };
        let stepped = self.step(connection, (direction, steps), &preflight.owners, report);
        let (verified, stepped) = tokio::join!(verified, stepped);
        stepped?;
        report.backup = verified?;
        if let Some((downgrade, rows)) = rows {
            report.losses.extend(rows.lost(connection).await?);
            refuse_loss(downgrade, &report.losses)?;
        }

        report.version = plan::version(&history::view(connection).await?.applied);
        let reached = Schema::read(connection).await?;
        if reached != *preflight.after && !are_irreversible(direction, steps) {
            return Err(Error::NotReached {
                version: report.version,
                difference: preflight
                    .after
                    .catalog()
                    .names_of_differences(&reached.catalog()),
            });
        }
        Ok(())
    }

    /// Runs the scripts, and sees to it that they leave no row that refers to nothing.
    async fn step(
        &self,
        connection: &mut SqliteConnection,
        (direction, steps): (Direction, &[&Migration]),
        owners: &[Owners],
        report: &mut Report,
    ) -> Result<(), Error> {
        let work = self.progress.begin("migrating", 0);
        let before = Orphans::read(connection).await?;
        for (migration, owners) in steps.iter().zip(owners) {
            let executed = execute::run(connection, migration, direction, owners).await?;
            let step = Step::new(migration, direction, executed);
            match direction {
                Direction::Up => history::record(connection, migration, step.elapsed).await?,
                Direction::Down => history::erase(connection, migration).await?,
            }
            report.steps.push(step);
        }
        Orphans::read(connection).await?.refuse_new(&before)?;
        report.orphans = before.count();
        work.end();
        Ok(())
    }

    /// The report of a run that has done nothing yet.
    fn report(&self, goal: Goal, applied: &[Applied]) -> Report {
        let version = plan::version(applied);
        Report {
            database: self.database.clone(),
            dry_run: goal.is_dry(),
            created: false,
            adopted: Vec::new(),
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

/// What a backup is made for.
fn why(direction: Direction, applied: &[Applied], steps: &[&Migration]) -> String {
    let from = plan::version(applied);
    match direction {
        Direction::Up => {
            let to = steps.last().map_or(from, |newest| newest.number());
            format!("before the upgrade from {from} to {to}")
        }
        Direction::Down => {
            let left = applied.len().saturating_sub(steps.len());
            let to = plan::version(&applied[..left]);
            format!("before the downgrade from {from} to {to}")
        }
    }
}

/// Refuses a way down that says of itself that it cannot be gone.
fn refuse_irreversible(downgrade: Downgrade, steps: &[&Migration]) -> Result<(), Error> {
    if downgrade.allow_data_loss {
        return Ok(());
    }
    for migration in steps {
        if let Some(why) = data_loss::irreversible(migration.script(Direction::Down)) {
            return Err(Error::Irreversible {
                number: migration.number(),
                name: migration.name().to_owned(),
                why: why.to_owned(),
            });
        }
    }
    Ok(())
}

/// Whether it is said of one of the steps that it does not lead back.
fn are_irreversible(direction: Direction, steps: &[&Migration]) -> bool {
    let marked =
        |migration: &&Migration| data_loss::irreversible(migration.script(direction)).is_some();
    direction == Direction::Down && steps.iter().any(marked)
}

/// Refuses a downgrade that loses something, if nobody said that it may.
fn refuse_loss(downgrade: Downgrade, losses: &[Loss]) -> Result<(), Error> {
    if downgrade.allow_data_loss || losses.is_empty() {
        return Ok(());
    }
    Err(Error::DataLoss {
        losses: losses.to_vec(),
    })
}
