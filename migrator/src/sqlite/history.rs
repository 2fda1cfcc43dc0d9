//! The state of a database: its identity, and its applied migrations. Its SQL is here; the
//! session owns the transactions around it.
//!
//! The history has the layout of sqlx, whose tools can read it. A second table holds the token
//! hashes of each migration's scripts, which tell an edited comment from an edited statement.

use std::{collections::BTreeMap, time::Duration};

use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::{
    project::migrations::{Direction, Migration, Migrations},
    sqlite::internal,
    state::{
        application::Application,
        history::{AppliedMigration, DatabaseState, Identity},
    },
};

/// The evidence that another program migrates the database.
const ANOTHER_HISTORY: &str = "its history of migrations is another program's";

/// Reads the state. It takes several statements, so the caller needs a transaction.
pub(crate) async fn read(
    connection: &mut SqliteConnection,
    application: Application,
) -> Result<DatabaseState, sqlx::Error> {
    let identity = identity(connection, application).await?;
    let applied = match identity {
        Identity::Ours => applied(connection).await?,
        Identity::Empty | Identity::NoHistory | Identity::Foreign(_) => Vec::new(),
    };
    Ok(DatabaseState { identity, applied })
}

async fn identity(
    connection: &mut SqliteConnection,
    application: Application,
) -> Result<Identity, sqlx::Error> {
    let ours = application.id();
    let id = application_id(connection).await?;
    let (objects, history): (i64, bool) = sqlx::query_as(
        "select count(*), count(*) filter (where type = 'table' and name = '_sqlx_migrations') > 0
         from sqlite_schema",
    )
    .fetch_one(&mut *connection)
    .await?;
    if id == 0 && history && !has_layout(connection).await? {
        return Ok(Identity::Foreign(ANOTHER_HISTORY.into()));
    }
    let unclaimed = match (id, history) {
        (id, true) if id == ours => return Ok(Identity::Ours),
        (0, true) => applied(connection).await?.is_empty(),
        (id, false) => id == 0 || id == ours,
        _ => false,
    };
    Ok(match id {
        _ if unclaimed && objects == 0 => Identity::Empty,
        _ if unclaimed => Identity::NoHistory,
        0 => Identity::Foreign(ANOTHER_HISTORY.into()),
        _ => Identity::Foreign(format!("its application id is {id:#010x}")),
    })
}

/// Reports whether `_sqlx_migrations` has the columns of sqlx. Another program's table of that
/// name may have others.
async fn has_layout(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select count(*) = 6
         from pragma_table_info('_sqlx_migrations')
         where lower(name) in ('version', 'description', 'installed_on', 'success', 'checksum',
                               'execution_time')",
    )
    .fetch_one(connection)
    .await
}

/// Returns the names of the tables that neither SQLite nor the migrator made.
pub(crate) async fn tables(connection: &mut SqliteConnection) -> Result<Vec<String>, sqlx::Error> {
    let mut names: Vec<String> =
        sqlx::query_scalar("select name from sqlite_schema where type = 'table'")
            .fetch_all(connection)
            .await?;
    names.retain(|name| internal::owner(name).is_none());
    Ok(names)
}

/// Returns the application id. It is in the file's header, so even a damaged schema has one.
pub(crate) async fn application_id(connection: &mut SqliteConnection) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar("pragma application_id")
        .fetch_one(connection)
        .await
}

/// Returns the number of the newest applied migration, or 0.
pub(crate) async fn version(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    if !internal::table_exists(connection, "_sqlx_migrations").await? {
        return Ok(0);
    }
    sqlx::query_scalar("select coalesce(max(version), 0) from _sqlx_migrations where success")
        .fetch_one(connection)
        .await
}

async fn applied(connection: &mut SqliteConnection) -> Result<Vec<AppliedMigration>, sqlx::Error> {
    type Row = (i64, String, Vec<u8>, bool, Option<String>, i64);
    let rows: Vec<Row> = sqlx::query_as(
        "select version, description, checksum, success,
                strftime('%Y-%m-%dT%H:%M:%SZ', installed_on), execution_time
         from _sqlx_migrations
         order by version",
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut tokens = token_hashes(connection).await?;
    let applied =
        |(number, description, checksum, success, time, execution_time): Row| AppliedMigration {
            number,
            name: description.replace(' ', "_"),
            checksum,
            token_hash: tokens.remove(&number),
            success,
            applied_at: time,
            // Nanoseconds; -1 while the migration runs.
            execution_time: u64::try_from(execution_time).ok().map(Duration::from_nanos),
        };
    Ok(rows.into_iter().map(applied).collect())
}

/// Returns the token hashes of the up migrations, by number.
async fn token_hashes(
    connection: &mut SqliteConnection,
) -> Result<BTreeMap<i64, Vec<u8>>, sqlx::Error> {
    if !internal::table_exists(connection, "_migrator_tokens").await? {
        return Ok(BTreeMap::new());
    }
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "select version, up
         from _migrator_tokens",
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().collect())
}

/// Marks an empty database as that of an application, with an empty history.
pub(crate) async fn create(
    connection: &mut SqliteConnection,
    application: Application,
) -> Result<(), sqlx::Error> {
    // A PRAGMA takes no parameters.
    sqlx::query(AssertSqlSafe(format!(
        "pragma application_id = {}",
        application.id()
    )))
    .execute(&mut *connection)
    .await?;
    // The text of sqlx 0.9, so that its tools find the schema that they expect.
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
    .execute(&mut *connection)
    .await?;
    create_token_table(connection).await
}

async fn create_token_table(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::query(
        "create table if not exists _migrator_tokens (
             version integer primary key,
             up blob not null check (length(up) = 32),
             down blob not null check (length(down) = 32)
         ) strict",
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds the token hashes that an older migrator did not record, for migrations whose scripts
/// are unchanged.
pub(crate) async fn backfill_token_hashes(
    connection: &mut SqliteConnection,
    known: &Migrations,
    applied: &[AppliedMigration],
) -> Result<(), sqlx::Error> {
    create_token_table(connection).await?;
    for applied in applied
        .iter()
        .filter(|applied| applied.token_hash.is_none())
    {
        if let Some(migration) = known.get(applied.number)
            && migration.checksum() == applied.checksum
        {
            record_token_hashes(connection, migration).await?;
        }
    }
    Ok(())
}

/// Records that a migration was applied, and its duration.
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
    // Nanoseconds: an i64 holds 292 years.
    .bind(i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX))
    .execute(&mut *connection)
    .await?;
    record_token_hashes(connection, migration).await
}

async fn record_token_hashes(
    connection: &mut SqliteConnection,
    migration: &Migration,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert or replace into _migrator_tokens (version, up, down)
         values (?1, ?2, ?3)",
    )
    .bind(migration.number())
    .bind(migration.token_hash(Direction::Up))
    .bind(migration.token_hash(Direction::Down))
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes a migration from the history.
pub(crate) async fn remove(
    connection: &mut SqliteConnection,
    migration: &Migration,
) -> Result<(), sqlx::Error> {
    for statement in [
        "delete from _sqlx_migrations where version = ?1",
        "delete from _migrator_tokens where version = ?1",
    ] {
        sqlx::query(statement)
            .bind(migration.number())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
