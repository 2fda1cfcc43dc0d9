//! `baseline`: records the history of a version in a database that another tool created. The
//! schema must be exactly that of the version.

use std::time::Duration;

use database::sqlite::sqlite_version;
use sqlx::SqliteConnection;

use crate::{
    Migrator,
    error::{Error, run::RunError},
    report::{MigrationRef, RunReport},
    run::plan::{self, PlanError},
    scratch::Scratch,
    sql::name::Name,
    sqlite::{history, lock_backoff::LockBackoff, schema::Schema, session::Session},
    state::history::{DatabaseState, Identity},
};

impl Migrator {
    /// Writes the history of `version` into a database that has none, if its schema is that of
    /// the version. Changes no rows of the services.
    ///
    /// # Errors
    ///
    /// [`RunError::Drift`] if the schema differs,
    /// [`DatabaseError::Foreign`](crate::DatabaseError::Foreign) if it has only other tables, [`PlanError::AlreadyBaselined`] if the database
    /// has a history, and [`DatabaseError::NotFound`](crate::DatabaseError::NotFound) without a
    /// database. Nothing was changed then.
    pub async fn baseline(&self, version: i64) -> Result<RunReport, Error> {
        sqlite_version::check_minimum().map_err(Error::Library)?;
        plan::check_target(&self.migrations, version)?;
        if !self.exists()? {
            return Err(self.not_created());
        }
        let expected = Scratch::replay(&self.migrations, version).await?.schema();
        let mut session = Session::open(
            &self.database,
            self.application,
            LockBackoff::new(self.lock_timeout),
        )
        .await?;
        let result = self.baseline_in(&mut session, version, &expected).await;
        session.close().await;
        result
    }

    /// Checks the database before it enables WAL: a rollback does not revert the journal mode in
    /// the file, and a refused database must stay unchanged.
    async fn baseline_in(
        &self,
        session: &mut Session,
        version: i64,
        expected: &Schema,
    ) -> Result<RunReport, Error> {
        session.begin().await?;
        let checked = self.check_baseline(session, version, expected).await;
        session.rollback().await;
        checked?;

        session.enable_wal().await?;
        session.begin().await?;
        match self.write_history(session, version, expected).await {
            Ok(report) => {
                session.commit().await?;
                Ok(report)
            }
            Err(error) => {
                session.rollback().await;
                Err(error.rolled_back(&self.database))
            }
        }
    }

    /// Refuses a database that has a history or another schema than that of `version`.
    async fn check_baseline(
        &self,
        session: &mut Session,
        version: i64,
        expected: &Schema,
    ) -> Result<(), Error> {
        let connection = session.connection();
        let DatabaseState { identity, applied } =
            history::read(connection, self.application).await?;
        if let Identity::Foreign(reason) = identity {
            return Err(self.foreign(reason));
        }
        if !applied.is_empty() {
            return Err(PlanError::AlreadyBaselined {
                database: self.name(),
                version: plan::version(&applied),
            }
            .into());
        }
        self.refuse_unrelated(connection, version, expected).await?;
        let live = Schema::read(connection).await?;
        if live == *expected {
            return Ok(());
        }
        Err(RunError::Drift {
            database: self.name(),
            version,
            difference: expected.catalog().difference_names(&live.catalog()),
        }
        .into())
    }

    /// Refuses a database with tables of which none is of `version`: it belongs to another
    /// application. Its declarations may be such that this program cannot parse them.
    async fn refuse_unrelated(
        &self,
        connection: &mut SqliteConnection,
        version: i64,
        expected: &Schema,
    ) -> Result<(), Error> {
        let live = history::tables(connection).await?;
        let is_expected = |name: &String| expected.tables.contains_key(&Name::new(name));
        if live.is_empty() || live.iter().any(is_expected) {
            return Ok(());
        }
        Err(self.foreign(format!("it has none of the tables of version {version}")))
    }

    async fn write_history(
        &self,
        session: &mut Session,
        version: i64,
        expected: &Schema,
    ) -> Result<RunReport, Error> {
        self.check_baseline(session, version, expected).await?;
        let connection = session.connection();
        history::create(connection, self.application).await?;
        let mut baselined = Vec::new();
        for migration in &self.migrations {
            if migration.number() <= version {
                history::record(connection, migration, Duration::ZERO).await?;
                baselined.push(MigrationRef::from(migration));
            }
        }
        Ok(RunReport {
            baselined,
            version,
            ..self.report(false, &[])
        })
    }
}
