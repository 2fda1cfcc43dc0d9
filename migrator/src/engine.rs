//! The migrator of a database, whichever engine it is in. Each command that an engine lacks is
//! refused with the tool to use instead.

use std::{num::NonZeroUsize, path::Path, time::Duration};

use database::settings::DatabaseUrl;

use crate::{
    PostgresMigrator, SqliteMigrator,
    commands::check::CheckReport,
    error::Error,
    postgres::PostgresError,
    project::{Project, migrations::Migrations},
    report::{DriftReport, Dump, RunReport, Status, WaitReport, progress::Progress},
    run::options::Run,
    sqlite::backup::{Backup, Listing, RestoreReport},
    state::{application::Application, error::DatabaseError},
};

/// The alternative to backups of the migrator.
const BACKUP_TOOLS: &str = "use pg_dump, or a base backup with continuous archiving";

/// A database and its migrations. Each command is a method.
#[derive(Clone, Debug)]
pub enum Migrator {
    /// An SQLite database.
    Sqlite(SqliteMigrator),
    /// A PostgreSQL database.
    Postgres(PostgresMigrator),
}

impl Migrator {
    /// Returns a migrator with the services' migrations. A run waits for locks of other processes
    /// for up to `lock_timeout` in total.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidMigrations`] if the compiled-in migrations are not valid.
    pub fn new(database: &DatabaseUrl, lock_timeout: Duration) -> Result<Self, Error> {
        let migrations = match database {
            DatabaseUrl::Sqlite(_) => Project::embedded_migrations(),
            DatabaseUrl::Postgres(_) => Project::embedded_postgres_migrations(),
        }?;
        Ok(Self::with_migrations(database, lock_timeout, migrations))
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
        let migrations = match database {
            DatabaseUrl::Sqlite(_) => project.migrations(),
            DatabaseUrl::Postgres(_) => project.postgres_migrations(),
        }?;
        let application = project.application;
        Ok(Self::of(database, application, lock_timeout, migrations))
    }

    /// Returns a migrator with other migrations.
    #[must_use]
    pub fn with_migrations(
        database: &DatabaseUrl,
        lock_timeout: Duration,
        migrations: Migrations,
    ) -> Self {
        Self::of(database, Application::MICROBLOG, lock_timeout, migrations)
    }

    fn of(
        database: &DatabaseUrl,
        application: Application,
        lock_timeout: Duration,
        migrations: Migrations,
    ) -> Self {
        match database {
            DatabaseUrl::Sqlite(path) => Self::Sqlite(SqliteMigrator::new(
                path,
                application,
                lock_timeout,
                migrations,
            )),
            DatabaseUrl::Postgres(url) => Self::Postgres(PostgresMigrator {
                url: url.clone(),
                application,
                lock_timeout,
                migrations,
                progress: Progress::noop(),
            }),
        }
    }

    /// Sets the folder of the backups, by default `backups` beside the database, and the number
    /// of backups to keep. A relative path is relative to the database's folder.
    #[must_use]
    pub fn with_backups(self, folder: &Path, keep: NonZeroUsize) -> Self {
        match self {
            Self::Sqlite(migrator) => Self::Sqlite(migrator.with_backups(folder, keep)),
            Self::Postgres(migrator) => Self::Postgres(migrator),
        }
    }

    /// Sets the callback for the progress of long tasks.
    #[must_use]
    pub fn with_progress(self, progress: Progress) -> Self {
        match self {
            Self::Sqlite(migrator) => Self::Sqlite(migrator.with_progress(progress)),
            Self::Postgres(migrator) => Self::Postgres(PostgresMigrator {
                progress,
                ..migrator
            }),
        }
    }

    /// Creates the database with an empty history. Leaves an existing database unchanged.
    ///
    /// # Errors
    ///
    /// [`Error`], in particular if the database belongs to another application.
    pub async fn create(&self) -> Result<RunReport, Error> {
        match self {
            Self::Sqlite(migrator) => migrator.create().await,
            Self::Postgres(migrator) => migrator.create().await,
        }
    }

    /// Applies the pending migrations and creates a missing database first, or reverts the newest
    /// migrations.
    ///
    /// # Errors
    ///
    /// [`Error`]; the database was not changed.
    pub async fn run(&self, run: Run) -> Result<RunReport, Error> {
        match self {
            Self::Sqlite(migrator) => migrator.run(run).await,
            Self::Postgres(migrator) => migrator.run(run).await,
        }
    }

    /// Returns the state of each migration.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::NotFound`] without a database.
    pub async fn status(&self) -> Result<Status, Error> {
        match self {
            Self::Sqlite(migrator) => migrator.status().await,
            Self::Postgres(migrator) => migrator.status().await,
        }
    }

    /// Waits up to `timeout` until the database exists at `version`, by default the newest, or
    /// at a later one. Returns the version that it is at.
    ///
    /// # Errors
    ///
    /// [`PlanError::Behind`](crate::PlanError::Behind) after the timeout. Any error that waiting
    /// cannot resolve is returned immediately.
    pub async fn wait(&self, version: Option<i64>, timeout: Duration) -> Result<WaitReport, Error> {
        match self {
            Self::Sqlite(migrator) => migrator.wait(version, timeout).await,
            Self::Postgres(migrator) => migrator.wait(version, timeout).await,
        }
    }

    /// Records the history of `version` in a database that has none.
    ///
    /// # Errors
    ///
    /// Those of [`SqliteMigrator::baseline`].
    pub async fn baseline(&self, version: i64) -> Result<RunReport, Error> {
        self.sqlite("baseline", NOT_YET)?.baseline(version).await
    }

    /// Checks the migrations, and an upgrade of the database.
    ///
    /// # Errors
    ///
    /// Those of [`SqliteMigrator::check`].
    pub async fn check(
        &self,
        project: &Project,
        longest_wait: Duration,
    ) -> Result<CheckReport, Error> {
        let migrator = self.sqlite("check", NOT_YET)?;
        migrator.check(project, longest_wait).await
    }

    /// Compares the live schema with that of its version.
    ///
    /// # Errors
    ///
    /// Those of [`SqliteMigrator::diff`].
    pub async fn diff(&self) -> Result<DriftReport, Error> {
        self.sqlite("diff", NOT_YET)?.diff().await
    }

    /// Returns the schema of the database as normalised DDL.
    ///
    /// # Errors
    ///
    /// Those of [`SqliteMigrator::dump`].
    pub async fn dump(&self) -> Result<Dump, Error> {
        self.sqlite("dump", "use `pg_dump --schema-only`")?
            .dump()
            .await
    }

    /// Makes a verified backup.
    ///
    /// # Errors
    ///
    /// Those of [`SqliteMigrator::back_up`].
    pub async fn back_up(&self, file: Option<&Path>) -> Result<Backup, Error> {
        self.sqlite("backup", BACKUP_TOOLS)?.back_up(file).await
    }

    /// Lists the backups.
    ///
    /// # Errors
    ///
    /// Those of [`SqliteMigrator::backups`].
    pub fn backups(&self) -> Result<Listing, Error> {
        self.sqlite("backups", BACKUP_TOOLS)?.backups()
    }

    /// Replaces the contents of the database with those of a backup.
    ///
    /// # Errors
    ///
    /// Those of [`SqliteMigrator::restore`].
    pub async fn restore(&self, file: &Path) -> Result<RestoreReport, Error> {
        self.sqlite("restore", BACKUP_TOOLS)?.restore(file).await
    }

    /// Returns the migrator of an SQLite database.
    fn sqlite(
        &self,
        command: &'static str,
        instead: &'static str,
    ) -> Result<&SqliteMigrator, DatabaseError> {
        match self {
            Self::Sqlite(migrator) => Ok(migrator),
            Self::Postgres(_) => Err(PostgresError::Unsupported { command, instead }.into()),
        }
    }
}

/// The alternative to a command that PostgreSQL lacks.
const NOT_YET: &str = "compare the schema with psql";
