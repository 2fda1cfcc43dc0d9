//! `restore`: replaces the contents of the database with those of a backup.

use std::path::Path;

use database::sqlite::{sqlite_version, volume};

use crate::{
    Migrator, error::Error, project::migrations::Migration, sqlite::backup::RestoreReport,
};

impl Migrator {
    /// Backs up the database and then replaces its contents with those of a backup. The services
    /// may keep running.
    ///
    /// # Errors
    ///
    /// [`Error::Backup`].
    pub async fn restore(&self, file: &Path) -> Result<RestoreReport, Error> {
        sqlite_version::check_minimum().map_err(Error::Library)?;
        volume::check_new(&self.database)?;
        let known: Vec<_> = self.migrations.iter().map(Migration::number).collect();
        let timeout = self.lock_timeout;
        let restored = self.backups.restore(file, &known, timeout, &self.progress);
        Ok(restored.await?)
    }
}
