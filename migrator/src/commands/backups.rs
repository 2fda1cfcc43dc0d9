//! `backups`: the list of backups.

use crate::{Migrator, error::Error, sqlite::backup::Listing};

impl Migrator {
    /// Lists the backups in the backup folder.
    ///
    /// # Errors
    ///
    /// [`Error::Backup`] if the folder cannot be read.
    pub fn backups(&self) -> Result<Listing, Error> {
        Ok(self.backups.list()?)
    }
}
