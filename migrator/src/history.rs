//! What a database says of itself: whose it is, and which migrations were applied to it.
//! SQL stands here; the transactions around it are the session's.
//!
//! The history has the layout of sqlx, whose own tools can therefore read it.

use std::time::Duration;

use chassis::database::APPLICATION_ID;
use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::migrations::Migration;

/// Whose a database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// Nobody's: there is nothing in it.
    Empty,
    /// This system's.
    Ours,
    /// Something else's, and how that is known.
    Foreign(String),
}

/// A migration as the history has it.
#[derive(Clone, Debug)]
pub(crate) struct Applied {
    pub(crate) number: i64,
    /// With `_` between the words, as in the file name.
    pub(crate) name: String,
    pub(crate) checksum: Vec<u8>,
    /// When it was applied: RFC 3339, UTC.
    pub(crate) time: String,
}

/// What a database says of itself at one moment.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) identity: Identity,
    /// In ascending order. Empty unless the database is this system's.
    pub(crate) applied: Vec<Applied>,
}

/// Reads all of it. Several statements, so it has to be in a transaction.
pub(crate) async fn view(connection: &mut SqliteConnection) -> Result<View, sqlx::Error> {
    let identity = identity(connection).await?;
    let applied = match identity {
        Identity::Ours => applied(connection).await?,
        Identity::Empty | Identity::Foreign(_) => Vec::new(),
    };
    Ok(View { identity, applied })
}

async fn identity(connection: &mut SqliteConnection) -> Result<Identity, sqlx::Error> {
    let id: i32 = sqlx::query_scalar("pragma application_id")
        .fetch_one(&mut *connection)
        .await?;
    let (objects, history): (i64, bool) = sqlx::query_as(
        "select count(*), count(*) filter (where type = 'table' and name = '_sqlx_migrations') > 0
         from sqlite_schema",
    )
    .fetch_one(connection)
    .await?;
    Ok(match id {
        APPLICATION_ID if history => Identity::Ours,
        0 | APPLICATION_ID if objects == 0 => Identity::Empty,
        APPLICATION_ID => Identity::Foreign("it has tables and no history of migrations".into()),
        0 => Identity::Foreign("it has tables that no migrator made".into()),
        _ => Identity::Foreign(format!("its application id is {id:#010x}")),
    })
}

async fn applied(connection: &mut SqliteConnection) -> Result<Vec<Applied>, sqlx::Error> {
    let rows: Vec<(i64, String, Vec<u8>, String)> = sqlx::query_as(
        "select version, description, checksum, strftime('%Y-%m-%dT%H:%M:%SZ', installed_on)
         from _sqlx_migrations
         order by version",
    )
    .fetch_all(connection)
    .await?;
    let applied = |(number, description, checksum, time): (i64, String, Vec<u8>, String)| Applied {
        number,
        name: description.replace(' ', "_"),
        checksum,
        time,
    };
    Ok(rows.into_iter().map(applied).collect())
}

/// Makes an empty database this system's, with an empty history.
pub(crate) async fn create(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    // A PRAGMA takes no parameters.
    sqlx::query(AssertSqlSafe(format!(
        "pragma application_id = {APPLICATION_ID}"
    )))
    .execute(&mut *connection)
    .await?;
    // Word for word as sqlx 0.9 makes it.
    sqlx::query(
        "CREATE TABLE IF NOT EXISTS _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);",
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes down that a migration was applied, and how long it took.
pub(crate) async fn record(
    connection: &mut SqliteConnection,
    migration: &Migration,
    elapsed: Duration,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (?1, ?2, true, ?3, ?4)",
    )
    .bind(migration.number())
    .bind(migration.name().replace('_', " "))
    .bind(migration.checksum())
    // Nanoseconds: 292 years fit.
    .bind(i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX))
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes a migration out of the history.
pub(crate) async fn erase(
    connection: &mut SqliteConnection,
    migration: &Migration,
) -> Result<(), sqlx::Error> {
    sqlx::query("delete from _sqlx_migrations where version = ?1")
        .bind(migration.number())
        .execute(connection)
        .await?;
    Ok(())
}
