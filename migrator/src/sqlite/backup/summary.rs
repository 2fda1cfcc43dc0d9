//! The SQL of backups and restores, and the summary of a database by which a copy is compared
//! with its source.

use std::{collections::BTreeMap, path::Path, time::Duration};

use sha2::{Digest, Sha256};
use sqlx::{
    AssertSqlSafe, ConnectOptions, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteSynchronous},
};

use crate::{
    sql::quoted,
    sqlite::{history, schema::Schema, session::execute},
    state::{catalog::hex, error::DatabaseError},
};

/// The time to wait while another connection recovers the write-ahead log after a crash. Readers
/// of a database with a write-ahead log wait for nothing else.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(5);

/// The properties of a database that its copy must have too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) application_id: i32,
    /// The number of the newest applied migration, or 0.
    pub(super) version: i64,
    /// The SHA-256 of the schema.
    pub(super) schema: String,
    /// The number of rows of each table.
    pub(super) rows: BTreeMap<String, i64>,
}

impl Summary {
    /// Describes the first property that differs in a copy.
    pub(super) fn difference(&self, copy: &Self) -> Option<String> {
        if self.application_id != copy.application_id {
            return Some("its application id differs".into());
        }
        if self.version != copy.version {
            return Some(format!(
                "it is at version {} instead of {}",
                copy.version, self.version
            ));
        }
        if self.schema != copy.schema {
            return Some("its schema differs".into());
        }
        let tables = self.rows.keys().chain(copy.rows.keys());
        let rows = |summary: &Self, table| summary.rows.get(table).copied().unwrap_or_default();
        tables.into_iter().find_map(|table| {
            let (expected, found) = (rows(self, table), rows(copy, table));
            (expected != found).then(|| format!("{table} has {found} rows instead of {expected}"))
        })
    }
}

/// The size of a database.
#[derive(Clone, Copy, Debug)]
pub(super) struct DatabaseSize {
    /// The page size in bytes.
    pub(super) page: i64,
    pub(super) pages: i64,
    /// The unused pages among `pages`.
    pub(super) free: i64,
}

impl DatabaseSize {
    /// Returns the bytes of a copy without unused pages.
    pub(super) fn compacted_bytes(self) -> u64 {
        bytes(self.page.saturating_mul(self.pages - self.free))
    }

    /// Returns the bytes that all pages and their frame headers take in the write-ahead log.
    pub(super) fn wal_bytes(self) -> u64 {
        const HEADER: i64 = 24; // bytes
        bytes((self.page + HEADER).saturating_mul(self.pages))
    }
}

fn bytes(n: i64) -> u64 {
    u64::try_from(n).unwrap_or_default()
}

/// Opens a connection to a database that other processes use.
pub(super) async fn open(database: &Path) -> Result<SqliteConnection, sqlx::Error> {
    options(database)
        .synchronous(SqliteSynchronous::Full)
        .connect()
        .await
}

/// Opens a read-only connection to a backup.
pub(super) async fn open_backup(file: &Path) -> Result<SqliteConnection, sqlx::Error> {
    options(file).read_only(true).connect().await
}

/// Opens a connection to a file that no other process uses and that has no write-ahead log.
pub(super) async fn open_partial(file: &Path) -> Result<SqliteConnection, sqlx::Error> {
    options(file)
        .read_only(true)
        .immutable(true)
        .connect()
        .await
}

fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(false)
        // The rows are copied even if they break foreign keys.
        .foreign_keys(false)
        .busy_timeout(RECOVERY_TIMEOUT)
        .disable_statement_logging()
}

/// Begins a read transaction: the connection keeps one snapshot from now on.
pub(super) async fn begin_reading(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    execute(connection, "begin").await?;
    // SQLite takes the snapshot at the first read.
    count_objects(connection).await.map(drop)
}

/// Copies the database into an empty file, as of the connection's snapshot.
pub(super) async fn vacuum_into(
    connection: &mut SqliteConnection,
    file: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("vacuum into ?1")
        .bind(file)
        .execute(connection)
        .await
        .map(drop)
}

/// Reads the summary. It takes several statements, so the caller needs a transaction if other
/// processes write.
pub(super) async fn read(connection: &mut SqliteConnection) -> Result<Summary, sqlx::Error> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select name
         from sqlite_schema
         where type = 'table' and rootpage > 0 and name not like 'sqlite\\_%' escape '\\'",
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut rows = BTreeMap::new();
    for table in tables {
        // A name cannot be a parameter, so it is quoted.
        let count = AssertSqlSafe(format!("select count(*) from {}", quoted(&table)));
        let count: i64 = sqlx::query_scalar(count)
            .fetch_one(&mut *connection)
            .await?;
        rows.insert(table, count);
    }
    Ok(Summary {
        application_id: history::application_id(connection).await?,
        version: history::version(connection).await?,
        schema: schema_hash(connection).await?,
        rows,
    })
}

/// Copies the write-ahead log into the file, as far as no reader needs it.
pub(super) async fn checkpoint(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    execute(connection, "pragma wal_checkpoint(passive)").await
}

/// Returns the number of tables, indexes, views and triggers.
pub(super) async fn count_objects(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select count(name) from sqlite_schema")
        .fetch_one(connection)
        .await
}

pub(super) async fn size(connection: &mut SqliteConnection) -> Result<DatabaseSize, sqlx::Error> {
    let (page, pages, free) = sqlx::query_as(
        "select page_size, page_count, freelist_count
         from pragma_page_size, pragma_page_count, pragma_freelist_count",
    )
    .fetch_one(connection)
    .await?;
    Ok(DatabaseSize { page, pages, free })
}

/// Returns the first damage that SQLite finds.
pub(super) async fn find_damage(
    connection: &mut SqliteConnection,
) -> Result<Option<String>, sqlx::Error> {
    let found: String = sqlx::query_scalar("pragma quick_check(1)")
        .fetch_one(connection)
        .await?;
    Ok((found != "ok").then(|| found.replace(['\n', '\r'], " ")))
}

/// Looks for damage and reads the summary. Returns the damage, or SQLite's error, as text.
pub(super) async fn verify(connection: &mut SqliteConnection) -> Result<Summary, String> {
    let failed = |error: sqlx::Error| error.to_string();
    if let Some(what) = find_damage(connection).await.map_err(failed)? {
        return Err(what);
    }
    read(connection).await.map_err(failed)
}

/// Returns the version of SQLite, such as `3.51.3`.
pub(super) async fn sqlite_version(
    connection: &mut SqliteConnection,
) -> Result<String, sqlx::Error> {
    sqlx::query_scalar("select sqlite_version()")
        .fetch_one(connection)
        .await
}

/// Sets the page size and the write-ahead log of a new file. An existing database keeps both.
/// Returns the journal mode.
pub(super) async fn set_page_size_and_wal(
    connection: &mut SqliteConnection,
    page_size: i64,
) -> Result<String, sqlx::Error> {
    // A PRAGMA takes no parameters.
    let pragma = AssertSqlSafe(format!("pragma page_size = {page_size}"));
    sqlx::query(pragma).execute(&mut *connection).await?;
    sqlx::query_scalar("pragma journal_mode = wal")
        .fetch_one(connection)
        .await
}

/// Returns a hash that is equal for equal schemas. For a schema that the migrator cannot parse,
/// it hashes the text of the declarations.
async fn schema_hash(connection: &mut SqliteConnection) -> Result<String, sqlx::Error> {
    match Schema::read(connection).await {
        Ok(schema) => return Ok(schema.catalog().hash()),
        Err(DatabaseError::Failed(error) | DatabaseError::Full(error)) => return Err(error),
        Err(_) => {}
    }
    let declarations: Vec<String> = sqlx::query_scalar(
        "select type || ' ' || name || ' ' || coalesce(sql, '')
         from sqlite_schema
         order by type, name",
    )
    .fetch_all(connection)
    .await?;
    Ok(hex(&Sha256::digest(declarations.join("\n"))))
}
