//! `backup`: a verified copy of the database.

use std::path::Path;

use crate::{Migrator, error::Error, sqlite::backup::Backup};

impl Migrator {
    /// Makes a verified backup in the backup folder, or in `file`. The services may keep running.
    ///
    /// # Errors
    ///
    /// [`Error::Backup`]; no file is left behind.
    pub async fn back_up(&self, file: Option<&Path>) -> Result<Backup, Error> {
        if !self.exists()? {
            return Err(self.not_created());
        }
        let timeout = self.lock_timeout;
        let backup = self
            .backups
            .back_up(file, "on demand", timeout, &self.progress);
        Ok(backup.await?)
    }
}
