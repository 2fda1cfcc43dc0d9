//! What the commands read that only look at a database: they take no lock and change nothing.

use std::time::Duration;

use database::sqlite::sqlite_version;

use crate::{
    Migrator,
    error::Error,
    sqlite::{lock_backoff::LockBackoff, schema::Schema, session::Session},
    state::history::{AppliedMigration, DatabaseState, Identity},
};

impl Migrator {
    /// The history of a database that is this system's.
    pub(super) async fn history(&self, patience: Duration) -> Result<Vec<AppliedMigration>, Error> {
        let mut session = self.open(patience).await?;
        let view = session.read_state().await;
        session.close().await;
        self.ours(view?)
    }

    /// The same with its schema, both of one moment.
    pub(super) async fn history_and_schema(
        &self,
    ) -> Result<(Vec<AppliedMigration>, Schema), Error> {
        let mut session = self.open(self.lock_timeout).await?;
        let looked = session.read_state_and_schema().await;
        session.close().await;
        let (view, schema) = looked?;
        Ok((self.ours(view)?, schema))
    }

    async fn open(&self, patience: Duration) -> Result<Session, Error> {
        sqlite_version::check_minimum().map_err(Error::Library)?;
        if !self.exists()? {
            return Err(self.not_created());
        }
        Ok(Session::open(&self.database, LockBackoff::new(patience)).await?)
    }

    fn ours(
        &self,
        DatabaseState { identity, applied }: DatabaseState,
    ) -> Result<Vec<AppliedMigration>, Error> {
        match identity {
            Identity::Ours => Ok(applied),
            Identity::Empty => Err(self.not_created()),
            Identity::Unclaimed => Err(self.unclaimed()),
            Identity::Foreign(why) => Err(self.foreign(why)),
        }
    }
}
