//! The reads of the commands that inspect a database. They take no write lock and change nothing.

use std::time::Duration;

use database::sqlite::sqlite_version;

use crate::{
    Migrator,
    error::Error,
    sqlite::{lock_backoff::LockBackoff, schema::Schema, session::Session},
    state::history::{AppliedMigration, DatabaseState, Identity},
};

impl Migrator {
    /// Reads the history.
    pub(super) async fn history(&self, patience: Duration) -> Result<Vec<AppliedMigration>, Error> {
        let mut session = self.open(patience).await?;
        let state = session.read_state().await;
        session.close().await;
        self.accept(state?)
    }

    /// Reads the history and the schema from one snapshot.
    pub(super) async fn history_and_schema(
        &self,
    ) -> Result<(Vec<AppliedMigration>, Schema), Error> {
        let mut session = self.open(self.lock_timeout).await?;
        let result = session.read_state_and_schema().await;
        session.close().await;
        let (state, schema) = result?;
        Ok((self.accept(state)?, schema))
    }

    async fn open(&self, patience: Duration) -> Result<Session, Error> {
        sqlite_version::check_minimum().map_err(Error::Library)?;
        if !self.exists()? {
            return Err(self.not_created());
        }
        Ok(Session::open(&self.database, self.application, LockBackoff::new(patience)).await?)
    }

    /// Returns the history, and rejects a database of another application.
    fn accept(
        &self,
        DatabaseState { identity, applied }: DatabaseState,
    ) -> Result<Vec<AppliedMigration>, Error> {
        match identity {
            Identity::Ours => Ok(applied),
            Identity::Empty => Err(self.not_created()),
            Identity::NoHistory => Err(self.without_history()),
            Identity::Foreign(reason) => Err(self.foreign(reason)),
        }
    }
}
