//! `dump`: the schema as a script.

use crate::{Migrator, error::Error, report::Dump};

impl Migrator {
    /// The schema of the database as a script that makes it.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::NotFound`](crate::DatabaseError::NotFound) if there is no database, and [`DatabaseError::Unsupported`](crate::DatabaseError::Unsupported) if it has what
    /// cannot be read.
    pub async fn dump(&self) -> Result<Dump, Error> {
        let (_, schema) = self.history_and_schema().await?;
        Ok(Dump {
            ddl: schema.catalog().ddl(),
        })
    }
}
