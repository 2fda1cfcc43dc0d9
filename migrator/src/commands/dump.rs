//! `dump`: the schema as a script.

use crate::{Migrator, error::Error, report::Dump};

impl Migrator {
    /// The schema of the database as a script that makes it.
    ///
    /// # Errors
    ///
    /// [`Error::NotCreated`] if there is no database, and [`Error::Schema`] if it has what
    /// cannot be read.
    pub async fn dump(&self) -> Result<Dump, Error> {
        let (_, schema) = self.history_and_schema().await?;
        Ok(Dump {
            ddl: schema.catalog().ddl(),
        })
    }
}
