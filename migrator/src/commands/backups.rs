//! `backups`: those that there are.

use crate::{Migrator, error::Error, sqlite::backup::Listing};

impl Migrator {
    /// The backups that there are.
    ///
    /// # Errors
    ///
    /// [`Error::Backup`] if the folder cannot be read.
    pub fn backups(&self) -> Result<Listing, Error> {
        Ok(self.backups.list()?)
    }
}
