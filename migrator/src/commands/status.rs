//! `status`: which migrations are applied.

use crate::{Migrator, error::Error, report::Status};

impl Migrator {
    /// Which migrations are applied and which are not.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::NotFound`](crate::DatabaseError::NotFound) if there is no database.
    pub async fn status(&self) -> Result<Status, Error> {
        let applied = self.history(self.lock_timeout).await?;
        Ok(Status::new(self.name(), &self.migrations, &applied))
    }
}
