//! Creates, upgrades and downgrades the database. No other program changes the schema.
//!
//! The migrations of the microblog are compiled in; those of any other [`Project`] are read from a
//! directory. This crate does not know their contents. A run is one transaction that starts with the
//! write lock, thus several migrators may run concurrently: each one applies what is still pending.
//! The transaction is committed as a whole or rolled back. The module `run` holds the order of a
//! run.

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
        backup::{self, Backup, Backups, Listing, RestoreReport},
        execute::ExecuteError,
        planner::Question,
    },
    state::{
        application::Application, catalog::Difference, database_name::DatabaseName,
        error::DatabaseError,
    },
};

/// The size of the smallest database in bytes: one page.
const MIN_DATABASE_BYTES: u64 = 512;

/// A database and its migrations. Each command is a method.
#[derive(Clone, Debug)]
pub struct Migrator {
    database: PathBuf,
    application: Application,
    lock_timeout: Duration,
    migrations: Migrations,
    backups: Backups,
    progress: Progress,
}

impl Migrator {
    /// Returns a migrator with the services' migrations. A run waits for locks of other processes
    /// for up to `lock_timeout` in total.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidMigrations`] if the compiled-in migrations are not valid.
    pub fn new(database: &DatabaseUrl, lock_timeout: Duration) -> Result<Self, Error> {
        Ok(Self::with_migrations(
            database,
            lock_timeout,
            Project::embedded_migrations()?,
        ))
    }

    /// Returns a migrator with the migrations of a project. It refuses a database of another
    /// application.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidMigrations`] if the migrations are not valid.
    pub fn for_project(
        database: &DatabaseUrl,
        lock_timeout: Duration,
        project: &Project,
    ) -> Result<Self, Error> {
        let migrator = Self::with_migrations(database, lock_timeout, project.migrations()?);
        let application = project.application;
        Ok(Self {
            application,
            backups: migrator.backups.with_application(application),
            ..migrator
        })
    }

    /// Returns a migrator with other migrations.
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
            application: Application::MICROBLOG,
            lock_timeout,
            migrations,
            progress: Progress::noop(),
        }
    }

    /// Sets the folder of the backups, by default `backups` beside the database, and the number
    /// of backups to keep. A relative path is relative to the database's folder.
    #[must_use]
    pub fn with_backups(self, folder: &Path, keep: NonZeroUsize) -> Self {
        let parent = self.database.parent().unwrap_or(Path::new(""));
        let folder = parent.join(folder);
        Self {
            backups: Backups::new(self.database.clone(), Some(folder), keep)
                .with_application(self.application),
            ..self
        }
    }

    /// Sets the callback for the progress of long tasks.
    #[must_use]
    pub fn with_progress(self, progress: Progress) -> Self {
        Self { progress, ..self }
    }

    /// Reports whether the file exists, and rejects an unsuitable disk. Does not open the file:
    /// closing it would drop all POSIX locks that this process holds on it.
    fn exists(&self) -> Result<bool, Error> {
        volume::check(&self.database)?;
        disk_space::check_free_space(&self.database)?;
        match std::fs::metadata(&self.database) {
            // SQLite treats a file of one byte as empty and would overwrite it.
            Ok(file) if file.is_file() && (1..MIN_DATABASE_BYTES).contains(&file.len()) => {
                Err(self.foreign("it is not an SQLite database".into()))
            }
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.unusable(error)),
        }
    }

    pub(crate) fn name(&self) -> DatabaseName {
        self.database.as_path().into()
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
        self.foreign(
            "it has tables and no migration history; `migrator baseline` records one if the schema \
             is that of a version"
                .into(),
        )
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
