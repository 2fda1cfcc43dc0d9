//! `restore`: what is in a backup in the place of what is in the database.

use std::path::Path;

use database::sqlite::{sqlite_version, volume};

use crate::{Migrator, error::Error, project::migrations::Migration, sqlite::backup::Restored};

impl Migrator {
    /// Puts what is in a backup in the place of what is in the database, which is backed up
    /// first. Services may go on meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::Backup`].
    pub async fn restore(&self, file: &Path) -> Result<Restored, Error> {
        sqlite_version::check_minimum().map_err(Error::Library)?;
        volume::check_new(&self.database)?;
        let known: Vec<_> = self.migrations.iter().map(Migration::number).collect();
        let timeout = self.lock_timeout;
        let restored = self.backups.restore(file, &known, timeout, &self.progress);
        Ok(restored.await?)
    }
}
