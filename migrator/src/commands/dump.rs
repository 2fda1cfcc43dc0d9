//! `dump`: the schema as a script of DDL.

use crate::{Migrator, error::Error, report::Dump};

impl Migrator {
    /// Returns the schema of the database as a script.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::NotFound`](crate::DatabaseError::NotFound) without a database, and
    /// [`DatabaseError::Unsupported`](crate::DatabaseError::Unsupported) for unsupported DDL.
    pub async fn dump(&self) -> Result<Dump, Error> {
        let (_, schema) = self.history_and_schema().await?;
        Ok(Dump {
            ddl: schema.catalog().ddl(),
        })
    }
}
