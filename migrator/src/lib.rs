//! The only program that changes the schema: it creates the database, upgrades it and
//! downgrades it, one migration after the other.
//!
//! The migrations are the services'; this crate has them compiled in and knows nothing
//! of what is in them. A run is one transaction, begun with the write lock taken, so any
//! number of migrators may run at once: each does what the ones before it left to do.
//! It ends whole or not at all.
//!
//! The order of a run stands in the module `run`.

mod commands;
mod error;
mod lint;
mod project;
mod report;
mod run;
mod scratch;
mod sql;
mod sqlite;
mod state;

use std::{
    io,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use database::{
    settings::DatabaseUrl,
    sqlite::{disk_space, volume},
};

pub use self::{
    commands::{
        check::CheckReport,
        generate::{Generate, NewMigration, NewMigrations},
    },
    error::{Error, exit::Exit, generate::GenerateError, run::RunError},
    project::{
        Error as ProjectError, Project, ReleaseReport,
        migrations::{Direction, InvalidMigrations, Migration, Migrations},
    },
    report::{
        DriftReport, Dump, MigrationRef, MigrationState, MigrationStatus, RunReport,
        StatementReport, Status, StepReport, WaitReport,
        progress::{Progress, ProgressEvent},
    },
    run::{data_loss::DataLoss, options::Run, plan::PlanError},
    sql::location::SourceLocation,
    sqlite::{
        backup::{self, Backup, Backups, Listing, Restored},
        execute::ExecuteError,
        planner::Question,
    },
    state::{catalog::Difference, database_name::DatabaseName, error::DatabaseError},
};

/// The length of the smallest file that can be a database, in bytes: one page.
const SMALLEST_DATABASE: u64 = 512;

/// A database file and the migrations that it can be brought through.
#[derive(Clone, Debug)]
pub struct Migrator {
    database: PathBuf,
    lock_timeout: Duration,
    migrations: Migrations,
    backups: Backups,
    progress: Progress,
}

impl Migrator {
    /// A migrator with the services' migrations. A run waits up to `lock_timeout` in all
    /// for other processes that use the database.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidMigrations`] if what was compiled in is no valid set of migrations.
    pub fn new(database: &DatabaseUrl, lock_timeout: Duration) -> Result<Self, Error> {
        Ok(Self::with_migrations(
            database,
            lock_timeout,
            Project::embedded_migrations()?,
        ))
    }

    /// A migrator with other migrations.
    #[must_use]
    pub fn with_migrations(
        database: &DatabaseUrl,
        lock_timeout: Duration,
        migrations: Migrations,
    ) -> Self {
        let DatabaseUrl::Sqlite(database) = database.clone();
        Self {
            backups: Backups::new(database.clone(), None, backup::DEFAULT_KEEP),
            database,
            lock_timeout,
            migrations,
            progress: Progress::noop(),
        }
    }

    /// The same, with backups in another folder than `backups` beside the database, or with
    /// more or fewer of them kept. A path that is not absolute begins beside the database.
    #[must_use]
    pub fn with_backups(self, folder: &Path, keep: NonZeroUsize) -> Self {
        let beside = self.database.parent().unwrap_or(Path::new(""));
        let folder = beside.join(folder);
        Self {
            backups: Backups::new(self.database.clone(), Some(folder), keep),
            ..self
        }
    }

    /// The same, telling how far long work is.
    #[must_use]
    pub fn with_progress(self, progress: Progress) -> Self {
        Self { progress, ..self }
    }

    /// Whether there is a file, on a disk where this process can use it. It is not opened:
    /// to close it would drop the locks that this process may hold on it.
    fn exists(&self) -> Result<bool, Error> {
        volume::check(&self.database)?;
        disk_space::check_free_space(&self.database)?;
        match std::fs::metadata(&self.database) {
            // SQLite takes a file of one byte for an empty one, and would write over it.
            Ok(file) if file.is_file() && (1..SMALLEST_DATABASE).contains(&file.len()) => {
                Err(self.foreign("it is not an SQLite database".into()))
            }
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.unusable(error)),
        }
    }

    /// Returns the name of the database.
    pub(crate) fn name(&self) -> DatabaseName {
        self.database.as_path().into()
    }

    fn foreign(&self, why: String) -> Error {
        DatabaseError::Foreign {
            database: self.name(),
            why,
        }
        .into()
    }

    /// Refuses tables that nobody says are this system's.
    fn unclaimed(&self) -> Error {
        self.foreign("it has tables and no history of migrations, which `migrator baseline` gives to one that is \
             like a version"
                .into())
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

    fn unusable(&self, source: io::Error) -> Error {
        DatabaseError::Unusable {
            database: self.name(),
            source: source.into(),
        }
        .into()
    }
}
