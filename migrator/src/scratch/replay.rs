//! The migrations run in memory, one after the other: what each version is like, and who
//! owns what in it. SQL stands here.

use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    error::Error,
    project::migrations::{Direction, Migration, Migrations},
    sqlite::{
        execute,
        guard::Owners,
        history,
        schema::{Schema, inventory::Inventory},
    },
};

/// What the versions are like, from 0, which is the empty database.
#[derive(Debug)]
pub(crate) struct Replay(Vec<Version>);

/// What one version is like.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) number: i64,
    pub(crate) owners: Owners,
    pub(crate) schema: Schema,
}

impl Replay {
    /// All versions of some migrations.
    ///
    /// # Errors
    ///
    /// Those of the script that fails, as in a run; and [`Error::Schema`] if a version
    /// has what cannot be read.
    pub(crate) async fn of(migrations: &Migrations) -> Result<Self, Error> {
        Self::up_to(migrations, migrations.newest()).await
    }

    /// The versions up to this one. What is wrong with a later one does not matter.
    ///
    /// # Errors
    ///
    /// As of [`Replay::of`].
    pub(crate) async fn up_to(migrations: &Migrations, newest: i64) -> Result<Self, Error> {
        let mut memory = Memory::new().await?;
        let result = Self::replay(&mut memory, migrations, newest).await;
        memory.close().await;
        result
    }

    async fn replay(
        memory: &mut Memory,
        migrations: &Migrations,
        newest: i64,
    ) -> Result<Self, Error> {
        let mut versions = vec![memory.version(0).await?];
        for migration in migrations.iter().filter(|known| known.number() <= newest) {
            memory.step(migration, Direction::Up).await?;
            versions.push(memory.version(migration.number()).await?);
        }
        Ok(Self(versions))
    }

    /// The version with this number, or the newest before it.
    pub(crate) fn at(&self, number: i64) -> &Version {
        let newer = self.0.partition_point(|version| version.number <= number);
        // Version 0 is always there.
        &self.0[newer.max(1) - 1]
    }
}

/// A database in memory without a table of anybody's, with the settings that a run has, and who owns what in it.
#[derive(Debug)]
pub(crate) struct Memory {
    connection: SqliteConnection,
    owners: Owners,
}

impl Memory {
    pub(crate) async fn new() -> Result<Self, Error> {
        let mut connection = connect().await?;
        // A script that asks for the history is told whose it is, as in a run.
        history::create(&mut connection).await?;
        Ok(Self {
            connection,
            owners: Owners::default(),
        })
    }

    /// Runs one script in a transaction, as in a run, and says what there is then.
    pub(crate) async fn step(
        &mut self,
        migration: &Migration,
        direction: Direction,
    ) -> Result<Inventory, Error> {
        let connection = &mut self.connection;
        sqlx::query("begin immediate")
            .execute(&mut *connection)
            .await?;
        execute::run(connection, migration, direction, &self.owners).await?;
        let inventory = Inventory::read(connection).await?;
        sqlx::query("commit").execute(connection).await?;
        self.owners = self.owners.after(migration.owner(), inventory.names());
        Ok(inventory)
    }

    /// Who owns what there is.
    pub(crate) fn owners(&self) -> &Owners {
        &self.owners
    }

    /// What there is.
    pub(crate) async fn schema(&mut self) -> Result<Schema, Error> {
        Ok(Schema::read(&mut self.connection).await?)
    }

    async fn version(&mut self, number: i64) -> Result<Version, Error> {
        Ok(Version {
            number,
            owners: self.owners.clone(),
            schema: self.schema().await?,
        })
    }

    pub(crate) async fn close(self) {
        // Nothing in it is kept.
        let _ = self.connection.close().await;
    }
}

/// A connection to an empty database in memory.
pub(crate) async fn connect() -> Result<SqliteConnection, Error> {
    let options = SqliteConnectOptions::new()
        .in_memory(true)
        .foreign_keys(false)
        .disable_statement_logging();
    Ok(options.connect().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_version_is_what_the_migrations_up_to_it_make() {
        let migrations = Migrations::from_files([
            ("users", "0001_a.up.sql", "create table a (id integer)"),
            ("users", "0001_a.down.sql", "drop table a"),
            ("posts", "0003_b.up.sql", "create table b (id integer)"),
            ("posts", "0003_b.down.sql", "drop table b"),
        ])
        .unwrap();

        let replay = Replay::of(&migrations).await.unwrap();

        let at = |number| {
            let version = replay.at(number);
            let owners = (version.owners.of("a"), version.owners.of("b"));
            (version.number, owners, version.schema.tables.len())
        };
        assert_eq!(at(0), (0, (None, None), 0));
        assert_eq!(at(1), (1, (Some("users"), None), 1));
        assert_eq!(at(2), (1, (Some("users"), None), 1));
        assert_eq!(at(3), (3, (Some("users"), Some("posts")), 2));
    }
}
