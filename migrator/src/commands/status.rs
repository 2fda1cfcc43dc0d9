//! `status`: the state of each migration.

use crate::{Migrator, error::Error, report::Status};

impl Migrator {
    /// Returns the state of each migration.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::NotFound`](crate::DatabaseError::NotFound) without a database.
    pub async fn status(&self) -> Result<Status, Error> {
        let applied = self.history(self.lock_timeout).await?;
        Ok(Status::new(self.name(), &self.migrations, &applied))
    }
}
