//! What only looks at a database: it takes no lock and changes nothing.

use std::time::{Duration, Instant};

use database::sqlite::sqlite_version;

use crate::{
    Await, Migrator,
    error::Error,
    report::{DriftReport, Dump, Status, There},
    run::plan,
    scratch::Scratch,
    sqlite::{
        history::{Applied, Identity, View},
        lock_backoff::Wait,
        planner,
        schema::Schema,
        session::Session,
    },
};

/// Between two looks at a database that is not there yet.
const LOOK_EVERY: Duration = Duration::from_millis(100);

impl Migrator {
    /// Which migrations are applied and which are not.
    ///
    /// # Errors
    ///
    /// [`Error::NotCreated`] if there is no database.
    pub async fn status(&self) -> Result<Status, Error> {
        let applied = self.history(self.lock_timeout).await?;
        Ok(Status::new(
            self.database.clone(),
            &self.migrations,
            &applied,
        ))
    }

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

    /// How the schema of the database differs from that of its version.
    ///
    /// # Errors
    ///
    /// As of [`Migrator::dump`], and [`Error::Newer`] if these migrations do not tell what
    /// its version should be.
    pub async fn diff(&self) -> Result<DriftReport, Error> {
        let (applied, live) = self.history_and_schema().await?;
        // A history that does not fit tells nothing of what there should be.
        plan::upgrade(&self.migrations, &applied, None)?;
        let version = plan::version(&applied);
        let expected = Scratch::replay(&self.migrations, version).await?.schema();
        let differences = expected.catalog().differences(&live.catalog());
        let ddl = planner::repair(&live, &expected);
        let database = self.database.clone();
        Ok(DriftReport::new(database, version, differences, ddl))
    }

    /// Returns when the database is there, at a version or a later one, and says at which.
    ///
    /// # Errors
    ///
    /// [`Error::Behind`] if it is not there in time; at once, if waiting does not help.
    pub async fn wait(&self, Await { version, timeout }: Await) -> Result<There, Error> {
        let wanted = version.unwrap_or_else(|| self.migrations.newest());
        let began = Instant::now();
        let mut said = false;
        loop {
            let left = timeout.saturating_sub(began.elapsed());
            let found = match self.history(left.min(self.lock_timeout)).await {
                Ok(applied) => Some(plan::version(&applied)),
                Err(Error::NotCreated { .. } | Error::Locked(_)) => None,
                Err(error) => return Err(error),
            };
            match found {
                Some(version) if version >= wanted => {
                    let database = self.database.clone();
                    return Ok(There { database, version });
                }
                _ if began.elapsed() >= timeout => {
                    return Err(Error::Behind {
                        database: self.database.clone(),
                        version: found,
                        wanted,
                        waited: timeout,
                    });
                }
                _ => {
                    if !said {
                        let database = self.database.display();
                        tracing::debug!(%database, wanted, "waiting for the database");
                    }
                    said = true;
                    tokio::time::sleep(LOOK_EVERY.min(left)).await;
                }
            }
        }
    }

    /// The history of a database that is this system's.
    async fn history(&self, patience: Duration) -> Result<Vec<Applied>, Error> {
        let mut session = self.open(patience).await?;
        let view = session.look().await;
        session.close().await;
        self.ours(view?)
    }

    /// The same with its schema, both of one moment.
    async fn history_and_schema(&self) -> Result<(Vec<Applied>, Schema), Error> {
        let mut session = self.open(self.lock_timeout).await?;
        let looked = session.look_closer().await;
        session.close().await;
        let (view, schema) = looked?;
        Ok((self.ours(view)?, schema))
    }

    async fn open(&self, patience: Duration) -> Result<Session, Error> {
        sqlite_version::check().map_err(Error::Library)?;
        if !self.exists()? {
            return Err(self.not_created());
        }
        Session::open(&self.database, Wait::new(patience)).await
    }

    fn ours(&self, View { identity, applied }: View) -> Result<Vec<Applied>, Error> {
        match identity {
            Identity::Ours => Ok(applied),
            Identity::Empty => Err(self.not_created()),
            Identity::Unclaimed => Err(self.unclaimed()),
            Identity::Foreign(why) => Err(self.foreign(why)),
        }
    }
}
