//! The database of a test, without the access restrictions of the services. Tests of the services
//! use the engine only through this module, so that they pass on any engine.

mod postgres;
mod sqlite;

use chassis::database::settings::DatabaseUrl;

pub use self::postgres::{run_tests_again, server};
use self::{postgres::PostgresDatabase, sqlite::SqliteDatabase};

/// A temporary database, which may not be migrated yet. It is deleted on drop.
#[derive(Debug)]
pub struct TestDatabase(Engine);

#[derive(Debug)]
enum Engine {
    Sqlite(SqliteDatabase),
    Postgres(PostgresDatabase),
}

/// The write lock of a database, held as by another writing process.
#[derive(Debug)]
pub enum DatabaseLock {
    Sqlite(sqlx::SqliteConnection),
    Postgres(sqlx::PgConnection),
}

impl TestDatabase {
    /// Reserves the name of a database that does not exist yet, on PostgreSQL if
    /// [`run_tests_again`] runs this process.
    pub fn new() -> Self {
        Self(match server() {
            Some(server) => Engine::Postgres(PostgresDatabase::new(&server)),
            None => Engine::Sqlite(SqliteDatabase::new()),
        })
    }

    /// Returns the URL of the database.
    pub fn url(&self) -> &DatabaseUrl {
        match &self.0 {
            Engine::Sqlite(database) => database.url(),
            Engine::Postgres(database) => database.url(),
        }
    }

    /// Runs a script.
    pub async fn execute(&self, script: &str) {
        match &self.0 {
            Engine::Sqlite(database) => database.execute(script).await,
            Engine::Postgres(database) => Box::pin(database.execute(script)).await,
        }
    }

    /// Returns the first column of the rows of a query. The column must be text.
    pub async fn query(&self, query: &str) -> Vec<String> {
        match &self.0 {
            Engine::Sqlite(database) => database.query(query).await,
            Engine::Postgres(database) => Box::pin(database.query(query)).await,
        }
    }

    /// Returns the number of rows of a table.
    pub async fn count(&self, table: &str) -> i64 {
        let count = format!("select cast(count(*) as text) from {table}");
        self.query(&count).await[0].parse().unwrap()
    }

    /// Makes the next rows of a table get the ids after `last`, as after the restore of a backup.
    pub async fn restart_ids(&self, table: &str, last: i64) {
        let script = match &self.0 {
            Engine::Sqlite(_) => {
                format!("update sqlite_sequence set seq = {last} where name = '{table}'")
            }
            Engine::Postgres(_) => {
                let head = table.trim_end_matches('s');
                format!("update {head}_head set id = {last}")
            }
        };
        self.execute(&script).await;
    }

    /// Inserts idempotency records with random keys, a response and the time of this many
    /// microseconds. Returns their keys in hexadecimal digits.
    pub async fn insert_records(
        &self,
        table: &str,
        count: usize,
        response: &str,
        create_time: i64,
    ) -> Vec<String> {
        let (key, fingerprint) = match &self.0 {
            Engine::Sqlite(_) => ("randomblob(16)", "randomblob(32)"),
            Engine::Postgres(_) => ("gen_random_uuid()", "sha256(uuid_send(gen_random_uuid()))"),
        };
        let insert = format!(
            "insert into {table} (request_id, fingerprint, result, create_time)
            with recursive n (i) as (select 1 union all select i + 1 from n where i < {count})
            select {key}, {fingerprint}, '{response}', {create_time} from n
            returning hex(request_id)"
        );
        self.query(&insert).await
    }

    /// Locks the database for writing.
    pub async fn lock(&self) -> DatabaseLock {
        match &self.0 {
            Engine::Sqlite(database) => DatabaseLock::Sqlite(database.lock().await),
            Engine::Postgres(database) => DatabaseLock::Postgres(Box::pin(database.lock()).await),
        }
    }
}

impl DatabaseLock {
    /// Ends the transaction that holds the lock.
    pub async fn release(self) {
        use sqlx::Connection;

        match self {
            Self::Sqlite(connection) => connection.close().await.unwrap(),
            Self::Postgres(connection) => connection.close().await.unwrap(),
        }
    }
}
