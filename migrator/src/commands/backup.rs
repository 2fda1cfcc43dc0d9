//! `backup`: a verified copy.

use std::path::Path;

use crate::{Migrator, error::Error, sqlite::backup::Backup};

impl Migrator {
    /// Makes a verified backup, among the others or as a file of its own. Services may go
    /// on meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::Backup`]; nothing is left then.
    pub async fn back_up(&self, file: Option<&Path>) -> Result<Backup, Error> {
        if !self.exists()? {
            return Err(self.not_created());
        }
        let timeout = self.lock_timeout;
        let made = self
            .backups
            .back_up(file, "on demand", timeout, &self.progress);
        Ok(made.await?)
    }
}
