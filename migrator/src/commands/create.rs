//! `create`: an empty database.

use crate::{SqliteMigrator, error::Error, report::RunReport};

impl SqliteMigrator {
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
