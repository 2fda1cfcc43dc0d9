//! A private in-memory database on which scripts run before they run on a live one. Contains SQL.

pub(crate) mod desired;
pub(crate) mod preflight;

use std::sync::Arc;

use sqlx::SqliteConnection;

use crate::{
    error::Error,
    project::migrations::{Direction, Migration, Migrations},
    sqlite::{
        execute::{DeniedStatement, Script, StatementFailure, execute, no_observer},
        guard::Policy,
        history, sample_rows,
        schema::Schema,
        session,
        usability::{self, UnusableObject},
    },
    state::{application::Application, owners::Owners},
};

/// An in-memory database with the owners of its objects.
#[derive(Debug)]
pub(crate) struct Scratch {
    connection: SqliteConnection,
    owners: Owners,
    schema: Arc<Schema>,
}

/// The result of a script: completed or failed.
#[derive(Debug)]
pub(crate) struct ScriptRun<'a> {
    pub(crate) migration: &'a Migration,
    pub(crate) direction: Direction,
    pub(crate) before: Arc<Schema>,
    /// Equal to `before` if the script failed.
    pub(crate) after: Arc<Schema>,
    pub(crate) denials: Vec<DeniedStatement>,
    pub(crate) failure: Option<StatementFailure>,
    /// The existing views and triggers that no longer work. Empty unless the policy is
    /// [`Policy::Record`].
    pub(crate) broken: Vec<UnusableObject>,
}

/// The result of applying, reverting and reapplying a migration, up to the first failure.
#[derive(Debug)]
pub(crate) struct RoundTrip<'a> {
    pub(crate) up: ScriptRun<'a>,
    pub(crate) down: Option<ScriptRun<'a>>,
    pub(crate) reapplied: Option<ScriptRun<'a>>,
}

impl Scratch {
    /// Creates a database with an empty history and the settings of a run.
    pub(crate) async fn new() -> Result<Self, Error> {
        let mut connection = session::connect_in_memory().await?;
        // A script that touches the history must be denied, as in a run.
        history::create(&mut connection, Application::PROJECT).await?;
        Ok(Self {
            connection,
            owners: Owners::default(),
            schema: Arc::default(),
        })
    }

    /// Creates a database and applies the migrations up to the number `newest`.
    ///
    /// # Errors
    ///
    /// Those of [`Scratch::apply`].
    pub(crate) async fn replay(migrations: &Migrations, newest: i64) -> Result<Self, Error> {
        let mut scratch = Self::new().await?;
        for migration in migrations.iter().filter(|known| known.number() <= newest) {
            scratch
                .apply(migration, Direction::Up, Policy::Enforce, no_observer)
                .await?;
        }
        Ok(scratch)
    }

    /// Executes statements without checking ownership, such as a `schema.sql`. Stops at the first
    /// failure and returns it.
    pub(crate) async fn declare(
        &mut self,
        script: &Script<'_>,
    ) -> Result<Option<StatementFailure>, Error> {
        let (owners, policy) = (Owners::default(), Policy::Trust);
        let executed = execute(&mut self.connection, script, &owners, policy, no_observer).await?;
        Ok(executed.failure)
    }

    /// Executes a script of a migration in a transaction, as a run does. Calls `observe` after each
    /// statement with its index.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Unsupported`](crate::DatabaseError::Unsupported) if the resulting schema
    /// cannot be parsed. Under [`Policy::Enforce`] also the failure of the script.
    pub(crate) async fn apply<'a>(
        &mut self,
        migration: &'a Migration,
        direction: Direction,
        policy: Policy,
        observe: impl AsyncFnMut(&mut SqliteConnection, usize) -> Result<(), sqlx::Error>,
    ) -> Result<ScriptRun<'a>, Error> {
        let before = Arc::clone(&self.schema);
        let unusable_before = self.unusable(policy).await?;
        sqlx::query("begin immediate")
            .execute(&mut self.connection)
            .await?;
        if policy == Policy::Record {
            self.create_sequences().await?;
        }
        let script = Script::new(migration, direction);
        let connection = &mut self.connection;
        let mut executed = execute(connection, &script, &self.owners, policy, observe).await?;
        let refused = policy == Policy::Enforce && !executed.denials.is_empty();
        if refused || executed.failure.is_some() {
            // The rollback fails if the script has ended the transaction itself.
            let _ = sqlx::query("rollback").execute(connection).await;
        } else {
            sqlx::query("commit").execute(connection).await?;
            self.read_schema().await?;
            let names = self.schema.owned_names();
            self.owners = self.owners.after_migration(migration.owner(), names);
        }
        if policy == Policy::Enforce {
            executed.refuse(migration, direction)?;
        }
        let mut broken = self.unusable(policy).await?;
        broken.retain(|object| {
            let same =
                |known: &UnusableObject| (known.kind, &known.name) == (object.kind, &object.name);
            before.has(object.kind, &object.name) && !unusable_before.iter().any(same)
        });
        Ok(ScriptRun {
            migration,
            direction,
            before,
            after: Arc::clone(&self.schema),
            denials: executed.denials,
            failure: executed.failure,
            broken,
        })
    }

    /// Applies, reverts and reapplies a migration, and stops at the first failure. `observe` is
    /// called for the first up script only.
    ///
    /// # Errors
    ///
    /// Those of [`Scratch::apply`].
    pub(crate) async fn round_trip<'a>(
        &mut self,
        migration: &'a Migration,
        policy: Policy,
        observe: impl AsyncFnMut(&mut SqliteConnection, usize) -> Result<(), sqlx::Error>,
    ) -> Result<RoundTrip<'a>, Error> {
        let (up, down) = (Direction::Up, Direction::Down);
        let mut trip = RoundTrip::from(self.apply(migration, up, policy, observe).await?);
        if trip.up.failure.is_none() {
            let run = self.apply(migration, down, policy, no_observer).await?;
            if run.failure.is_none() {
                trip.reapplied = Some(self.apply(migration, up, policy, no_observer).await?);
            }
            trip.down = Some(run);
        }
        Ok(trip)
    }

    /// Returns the owners of the objects.
    pub(crate) fn owners(&self) -> &Owners {
        &self.owners
    }

    /// Returns the schema after the last script.
    pub(crate) fn schema(&self) -> Arc<Schema> {
        Arc::clone(&self.schema)
    }

    /// Reads the current schema.
    pub(crate) async fn read_schema(&mut self) -> Result<Arc<Schema>, Error> {
        self.schema = Arc::new(Schema::read(&mut self.connection).await?);
        Ok(self.schema())
    }

    /// Returns the connection for read-only statements.
    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    /// Creates the sequence of each AUTOINCREMENT table, which SQLite creates with the first row.
    /// Without it, a change to the sequence of another owner would go unnoticed.
    async fn create_sequences(&mut self) -> Result<(), sqlx::Error> {
        let schema = Arc::clone(&self.schema);
        for table in schema.tables.values().filter(|table| table.autoincrement()) {
            sqlx::query(
                "insert into sqlite_sequence (name, seq)
                 select ?1, 1
                 where ?1 not in (select name from sqlite_sequence)",
            )
            .bind(table.name.spelled())
            .execute(&mut self.connection)
            .await?;
        }
        Ok(())
    }

    /// Returns the views, triggers and foreign keys that SQLite rejects when they are used. None
    /// unless the policy is [`Policy::Record`].
    async fn unusable(&mut self, policy: Policy) -> Result<Vec<UnusableObject>, sqlx::Error> {
        if policy != Policy::Record {
            return Ok(Vec::new());
        }
        let schema = self.schema();
        usability::unusable_objects(&mut self.connection, &schema).await
    }

    /// Executes the up script of a migration on two rows in each table, and reverts it. Returns the
    /// failure of the script.
    ///
    /// # Errors
    ///
    /// A failure of the connection.
    pub(crate) async fn try_on_rows(
        &mut self,
        migration: &Migration,
    ) -> Result<Option<StatementFailure>, Error> {
        sqlx::query("begin immediate")
            .execute(&mut self.connection)
            .await?;
        sample_rows::insert(&mut self.connection, &self.schema).await;
        let script = Script::new(migration, Direction::Up);
        let (connection, policy) = (&mut self.connection, Policy::Record);
        let executed = execute(connection, &script, &self.owners, policy, no_observer).await?;
        // The rollback fails if the script has ended the transaction itself.
        let _ = sqlx::query("rollback").execute(&mut self.connection).await;
        Ok(executed.failure)
    }
}

impl<'a> From<ScriptRun<'a>> for RoundTrip<'a> {
    fn from(up: ScriptRun<'a>) -> Self {
        Self {
            up,
            down: None,
            reapplied: None,
        }
    }
}

impl RoundTrip<'_> {
    /// Returns the executed scripts in order, each with the expected schema. The first one has no
    /// expected schema.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (&ScriptRun<'_>, Option<&Schema>)> {
        let down = self.down.as_ref().map(|run| (run, Some(&*self.up.before)));
        let reapplied = self
            .reapplied
            .as_ref()
            .map(|run| (run, Some(&*self.up.after)));
        [Some((&self.up, None)), down, reapplied]
            .into_iter()
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns two migrations of two services. The second down script touches the first service's
    /// table.
    fn migrations() -> Migrations {
        Migrations::from_files([
            ("users", "0001_a.up.sql", "create table a (id integer)"),
            ("users", "0001_a.down.sql", "drop table a"),
            ("posts", "0003_b.up.sql", "create table b (id integer)"),
            ("posts", "0003_b.down.sql", "drop table b; delete from a"),
        ])
        .unwrap()
    }

    #[tokio::test]
    async fn a_replay_has_the_owners_and_schema_of_its_version() {
        let migrations = migrations();
        for (number, owners, tables) in [
            (0, (None, None), 0),
            (1, (Some("users"), None), 1),
            (2, (Some("users"), None), 1),
            (3, (Some("users"), Some("posts")), 2),
        ] {
            let scratch = Scratch::replay(&migrations, number).await.unwrap();

            let found = (scratch.owners().owner("a"), scratch.owners().owner("b"));
            assert_eq!(found, owners, "{number}");
            assert_eq!(scratch.schema().tables.len(), tables, "{number}");
        }
    }

    #[tokio::test]
    async fn a_denied_statement_is_refused_or_recorded() {
        let migrations = migrations();
        let migration = migrations.get(3).unwrap();
        let down = Direction::Down;
        let mut scratch = Scratch::replay(&migrations, 3).await.unwrap();

        let refused = scratch
            .apply(migration, down, Policy::Enforce, no_observer)
            .await;
        let unchanged = scratch.schema();
        let recorded = scratch
            .apply(migration, down, Policy::Record, no_observer)
            .await;

        assert!(
            matches!(
                refused,
                Err(Error::Execute(crate::ExecuteError::Ownership { .. }))
            ),
            "{refused:?}"
        );
        assert_eq!(unchanged.tables.len(), 2);
        let recorded = recorded.unwrap();
        assert_eq!(recorded.after.tables.len(), 1);
        let columns: Vec<_> = recorded.denials.iter().map(|d| d.location.column).collect();
        assert_eq!(columns, [15]);
    }

    #[tokio::test]
    async fn a_round_trip_observes_the_first_script_only() {
        let migrations = migrations();
        let mut scratch = Scratch::replay(&migrations, 1).await.unwrap();
        let mut observed = Vec::new();
        let observe = async |_: &mut SqliteConnection, at| {
            observed.push(at);
            Ok(())
        };

        let migration = migrations.get(3).unwrap();
        let trip = scratch.round_trip(migration, Policy::Record, observe).await;

        let trip = trip.unwrap();
        let runs: Vec<_> = trip.runs().collect();
        assert_eq!(runs.len(), 3);
        assert!(runs[0].1.is_none());
        for (run, expected) in &runs[1..] {
            assert_eq!(*run.after, **expected.as_ref().unwrap());
        }
        assert_eq!(observed, [0]);
    }
}
