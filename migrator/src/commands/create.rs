//! `create`: an empty database.

use crate::{Migrator, error::Error, report::RunReport};

impl Migrator {
    /// Makes the file, readable and writable by its owner only, and an empty history in
    /// it. A database that is there already stays as it is.
    ///
    /// # Errors
    ///
    /// [`Error`]: above all, that the file belongs to something else.
    pub async fn create(&self) -> Result<RunReport, Error> {
        self.execute(None).await
    }
}
