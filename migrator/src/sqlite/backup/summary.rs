//! What a database file says of itself, by which a copy is compared with what it was made
//! of. SQL stands here.

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

/// How long a connection waits for another that recovers the log after a crash. With a
/// write-ahead log those that only read wait for nothing else.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(5);

/// What is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) application_id: i32,
    /// The newest migration that was applied, or 0.
    pub(super) version: i64,
    /// A hash of the schema.
    pub(super) schema: String,
    /// How many rows each table has.
    pub(super) rows: BTreeMap<String, i64>,
}

impl Summary {
    /// The first thing that is not the same in a copy, for people.
    pub(super) fn difference(&self, copy: &Self) -> Option<String> {
        if self.application_id != copy.application_id {
            return Some("its application id is another".into());
        }
        if self.version != copy.version {
            return Some(format!(
                "it is at version {} instead of {}",
                copy.version, self.version
            ));
        }
        if self.schema != copy.schema {
            return Some("its schema is another".into());
        }
        let tables = self.rows.keys().chain(copy.rows.keys());
        let rows = |summary: &Self, table| summary.rows.get(table).copied().unwrap_or_default();
        tables.into_iter().find_map(|table| {
            let (expected, found) = (rows(self, table), rows(copy, table));
            (expected != found)
                .then(|| format!("{table} has {found} rows in it instead of {expected}"))
        })
    }
}

/// How large a database is.
#[derive(Clone, Copy, Debug)]
pub(super) struct DatabaseSize {
    /// In bytes.
    pub(super) page: i64,
    pub(super) pages: i64,
    /// Of them, those that hold nothing.
    pub(super) free: i64,
}

impl DatabaseSize {
    /// Of a copy without the pages that hold nothing.
    pub(super) fn compacted_bytes(self) -> u64 {
        bytes(self.page.saturating_mul(self.pages - self.free))
    }

    /// Of all pages, each with its header in the write-ahead log.
    pub(super) fn wal_bytes(self) -> u64 {
        const HEADER: i64 = 24; // bytes
        bytes((self.page + HEADER).saturating_mul(self.pages))
    }
}

fn bytes(n: i64) -> u64 {
    u64::try_from(n).unwrap_or_default()
}

/// A connection to the database, beside those that others have.
pub(super) async fn open(database: &Path) -> Result<SqliteConnection, sqlx::Error> {
    options(database)
        .synchronous(SqliteSynchronous::Full)
        .connect()
        .await
}

/// A connection to a backup, which changes nothing.
pub(super) async fn open_backup(file: &Path) -> Result<SqliteConnection, sqlx::Error> {
    options(file).read_only(true).connect().await
}

/// A connection to a file that nobody else has, and which has no log.
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
        // Whatever is in it is copied as it is.
        .foreign_keys(false)
        .busy_timeout(RECOVERY_TIMEOUT)
        .disable_statement_logging()
}

/// Begins to read: from now on the connection sees one state.
pub(super) async fn begin_reading(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    execute(connection, "begin").await?;
    // The transaction begins with the first thing that is read.
    count_objects(connection).await.map(drop)
}

/// Copies the database into an empty file, as the connection sees it.
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

/// Reads all that is compared. Several statements, so it has to be in a transaction where
/// others write.
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
        // A name cannot be a parameter. It is a quoted one.
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

/// Moves what is in the write-ahead log into the file, as far as nobody is in the way.
pub(super) async fn checkpoint(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    execute(connection, "pragma wal_checkpoint(passive)").await
}

/// Returns how many tables, indexes, views and triggers are in the database.
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

/// The first thing that is damaged, if anything is.
pub(super) async fn find_damage(
    connection: &mut SqliteConnection,
) -> Result<Option<String>, sqlx::Error> {
    let found: String = sqlx::query_scalar("pragma quick_check(1)")
        .fetch_one(connection)
        .await?;
    Ok((found != "ok").then(|| found.replace(['\n', '\r'], " ")))
}

/// The version of the library, such as `3.51.3`.
pub(super) async fn sqlite_version(
    connection: &mut SqliteConnection,
) -> Result<String, sqlx::Error> {
    sqlx::query_scalar("select sqlite_version()")
        .fetch_one(connection)
        .await
}

/// Gives a new file pages of a size, and a write-ahead log. One that has both keeps them.
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

/// The same for two databases that have the same schema. One that the comparison of schemas
/// does not understand can be backed up all the same: then it is the text that counts.
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
