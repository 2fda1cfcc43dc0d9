//! `create`: an empty database.

use crate::{Migrator, error::Error, report::RunReport};

impl Migrator {
    /// Creates the file, readable and writable by its owner only, with an empty history. Leaves
    /// an existing database unchanged.
    ///
    /// # Errors
    ///
    /// [`Error`], in particular if the file belongs to another application.
    pub async fn create(&self) -> Result<RunReport, Error> {
        self.execute(None).await
    }
}
