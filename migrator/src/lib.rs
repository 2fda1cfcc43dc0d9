//! The only program that changes the schema: it creates the database, upgrades it and
//! downgrades it, one migration after the other.
//!
//! The migrations are the services'; this crate has them compiled in and knows nothing
//! of what is in them. A run is one transaction, begun with the write lock taken, so any
//! number of migrators may run at once: each does what the ones before it left to do.
//! It ends whole or not at all.
//!
//! SQL stands in the modules `session` and `history` only.

mod error;
mod history;
mod migrations;
mod plan;
mod report;
#[expect(dead_code, reason = "what compares schemas comes next")]
mod schema;
mod session;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "what compares schemas comes next")
)]
mod sql;
mod wait;

use std::{
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use chassis::{database::library, settings::DatabaseUrl};

pub use self::{
    error::Error,
    migrations::{Direction, Invalid, Migration, Migrations},
    report::{Report, State, Status, Step, Subject},
};
use self::{
    history::{Identity, View},
    session::Session,
    wait::Wait,
};

/// The length of the smallest file that can be a database, in bytes: one page.
const SMALLEST_DATABASE: u64 = 512;

/// A database file and the migrations that it can be brought through.
#[derive(Clone, Debug)]
pub struct Migrator {
    database: PathBuf,
    lock_timeout: Duration,
    migrations: Migrations,
}

/// What a run is to reach.
#[derive(Clone, Copy, Debug)]
enum Goal {
    Created,
    Upgraded(Option<i64>),
    Downgraded(Option<i64>),
}

impl Migrator {
    /// A migrator with the services' migrations. A run waits up to `lock_timeout` in all
    /// for other processes that use the database.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if what was compiled in is no valid set of migrations.
    pub fn new(database: &DatabaseUrl, lock_timeout: Duration) -> Result<Self, Error> {
        Ok(Self::with_migrations(
            database,
            lock_timeout,
            Migrations::embedded()?,
        ))
    }

    /// A migrator with other migrations.
    #[must_use]
    pub fn with_migrations(
        database: &DatabaseUrl,
        lock_timeout: Duration,
        migrations: Migrations,
    ) -> Self {
        Self {
            database: database.path().to_owned(),
            lock_timeout,
            migrations,
        }
    }

    /// Makes the file, readable and writable by its owner only, and an empty history in
    /// it. A database that is there already stays as it is.
    ///
    /// # Errors
    ///
    /// [`Error`]: above all, that the file belongs to something else.
    pub async fn create(&self) -> Result<Report, Error> {
        self.run(Goal::Created).await
    }

    /// Applies what is not applied yet, up to migration `to` or to the newest. Creates a
    /// missing database first.
    ///
    /// # Errors
    ///
    /// [`Error`]; the database is then as it was.
    pub async fn upgrade(&self, to: Option<i64>) -> Result<Report, Error> {
        self.run(Goal::Upgraded(to)).await
    }

    /// Undoes the newest migration, or all that are newer than `to`; 0 means all.
    ///
    /// # Errors
    ///
    /// [`Error`]; the database is then as it was.
    pub async fn downgrade(&self, to: Option<i64>) -> Result<Report, Error> {
        self.run(Goal::Downgraded(to)).await
    }

    /// Which migrations are applied and which are not. It takes no lock and changes
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`Error::NotCreated`] if there is no database.
    pub async fn status(&self) -> Result<Status, Error> {
        library::check().map_err(Error::Library)?;
        if !self.exists()? {
            return Err(Error::NotCreated {
                database: self.database.clone(),
            });
        }
        let mut session = Session::open(&self.database, Wait::new(self.lock_timeout)).await?;
        let view = session.look().await;
        session.close().await;

        let View { identity, applied } = view?;
        match identity {
            Identity::Ours => Ok(Status::new(
                self.database.clone(),
                self.migrations.iter(),
                &applied,
            )),
            Identity::Empty => Err(Error::NotCreated {
                database: self.database.clone(),
            }),
            Identity::Foreign(why) => Err(self.foreign(why)),
        }
    }

    /// What does not touch the database comes first, so that a wrong number creates none.
    async fn run(&self, goal: Goal) -> Result<Report, Error> {
        library::check().map_err(Error::Library)?;
        if let Goal::Upgraded(Some(to)) | Goal::Downgraded(Some(to)) = goal {
            plan::check_target(&self.migrations, to)?;
        }
        if !self.exists()? {
            if let Goal::Downgraded(_) = goal {
                return Err(self.nothing_to_downgrade());
            }
            make_file(&self.database).map_err(|source| self.unusable(source))?;
        }

        let mut session = Session::open(&self.database, Wait::new(self.lock_timeout)).await?;
        let result = self.run_in(&mut session, goal).await;
        session.close().await;
        result
    }

    async fn run_in(&self, session: &mut Session, goal: Goal) -> Result<Report, Error> {
        let View { identity, applied } = session.look().await?;
        match (identity, goal) {
            (Identity::Foreign(why), _) => return Err(self.foreign(why)),
            (Identity::Empty, Goal::Downgraded(_)) => return Err(self.nothing_to_downgrade()),
            (Identity::Ours, Goal::Created) => {
                return Ok(Report {
                    database: self.database.clone(),
                    created: false,
                    steps: Vec::new(),
                    version: plan::version(&applied),
                });
            }
            _ => {}
        }
        session.enter_wal().await?;
        session.begin().await?;
        match self.change(session, goal).await {
            Ok(report) => {
                session.commit().await?;
                Ok(report)
            }
            Err(error) => {
                session.rollback().await;
                Err(error)
            }
        }
    }

    /// Everything between BEGIN and COMMIT. What was seen before may be out of date by
    /// now: another migrator can have been here.
    async fn change(&self, session: &mut Session, goal: Goal) -> Result<Report, Error> {
        let View { identity, applied } = session.view().await?;
        let created = match identity {
            Identity::Ours => false,
            Identity::Empty => {
                session.create().await?;
                true
            }
            Identity::Foreign(why) => return Err(self.foreign(why)),
        };

        let (direction, migrations) = match goal {
            Goal::Created => (Direction::Up, Vec::new()),
            Goal::Upgraded(to) => (
                Direction::Up,
                plan::upgrade(&self.migrations, &applied, to)?,
            ),
            Goal::Downgraded(to) => (
                Direction::Down,
                plan::downgrade(&self.migrations, &applied, to)?,
            ),
        };
        let mut steps = Vec::with_capacity(migrations.len());
        for migration in migrations {
            let elapsed = session.step(migration, direction).await?;
            steps.push(Step::new(migration, direction, elapsed));
        }
        if !steps.is_empty() {
            session.check_references().await?;
        }
        let version = plan::version(&session.view().await?.applied);
        Ok(Report {
            database: self.database.clone(),
            created,
            steps,
            version,
        })
    }

    /// Whether there is a file. It is not opened: to close it would drop the locks that
    /// this process may hold on it.
    fn exists(&self) -> Result<bool, Error> {
        match std::fs::metadata(&self.database) {
            // SQLite takes a file of one byte for an empty one, and would write over it.
            Ok(file) if file.is_file() && (1..SMALLEST_DATABASE).contains(&file.len()) => {
                Err(self.foreign("it is no SQLite database".into()))
            }
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.unusable(error)),
        }
    }

    fn foreign(&self, why: String) -> Error {
        Error::Foreign {
            database: self.database.clone(),
            why,
        }
    }

    fn nothing_to_downgrade(&self) -> Error {
        Error::NothingToDowngrade {
            database: self.database.clone(),
        }
    }

    fn unusable(&self, source: io::Error) -> Error {
        Error::Unusable {
            database: self.database.clone(),
            source: source.into(),
        }
    }
}

/// Makes an empty file, and the folder that it is in.
///
/// Its mode is 0600 from the first moment, and SQLite gives the same to what it puts
/// beside it. A file that somebody made meanwhile is left alone.
fn make_file(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}
