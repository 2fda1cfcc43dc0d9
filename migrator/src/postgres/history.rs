//! The state of a database: its identity, and its applied migrations. Its SQL is here; the session
//! owns the transactions around it.
//!
//! The history has the layout of sqlx, whose tools can read it. A second table holds the token
//! hashes of each migration's scripts, which tell an edited comment from an edited statement. The
//! comment of the history table names the application, as `PRAGMA application_id` does on SQLite.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection};

use crate::{
    project::migrations::{Direction, Migration},
    state::{
        application::Application,
        history::{AppliedMigration, DatabaseState, Identity},
    },
};

/// Reads the state. It takes several statements, so the caller needs a transaction if another
/// migrator may run.
pub(super) async fn read(
    connection: &mut PgConnection,
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
    connection: &mut PgConnection,
    application: Application,
) -> Result<Identity, sqlx::Error> {
    let (tables, has_history, comment): (i64, bool, Option<String>) = sqlx::query_as(
        "select (select count(*) from pg_class
                 where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p', 'v')),
             to_regclass('_sqlx_migrations') is not null,
             obj_description(to_regclass('_sqlx_migrations'), 'pg_class')",
    )
    .fetch_one(connection)
    .await?;
    Ok(match comment {
        Some(comment) if has_history && comment == mark(application) => Identity::Ours,
        Some(comment) if has_history => Identity::Foreign(format!("its history is of {comment}")),
        _ if has_history => {
            Identity::Foreign("its history of migrations is another program's".into())
        }
        _ if tables == 0 => Identity::Empty,
        _ => Identity::NoHistory,
    })
}

/// Returns the comment of the history table.
fn mark(application: Application) -> String {
    format!("application {:#010x}", application.id())
}

async fn applied(connection: &mut PgConnection) -> Result<Vec<AppliedMigration>, sqlx::Error> {
    type Row = (i64, String, Vec<u8>, bool, String, i64, Option<Vec<u8>>);
    let rows: Vec<Row> = sqlx::query_as(
        r#"select version, description, checksum, success,
               to_char(installed_on at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
               execution_time, up
           from _sqlx_migrations left join _migrator_tokens using (version)
           order by version"#,
    )
    .fetch_all(connection)
    .await?;
    let applied = rows.into_iter().map(
        |(number, description, checksum, success, time, execution_time, token_hash)| {
            AppliedMigration {
                number,
                name: description.replace(' ', "_"),
                checksum,
                token_hash,
                success,
                applied_at: Some(time),
                execution_time: u64::try_from(execution_time).ok().map(Duration::from_nanos),
            }
        },
    );
    Ok(applied.collect())
}

/// Creates an empty history.
pub(super) async fn create(
    connection: &mut PgConnection,
    application: Application,
) -> Result<(), sqlx::Error> {
    // The text of sqlx 0.9, so that its tools find the schema that they expect.
    let history = "CREATE TABLE IF NOT EXISTS _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMPTZ NOT NULL DEFAULT now(),
    success BOOLEAN NOT NULL,
    checksum BYTEA NOT NULL,
    execution_time BIGINT NOT NULL
);";
    let tokens = "create table _migrator_tokens (
        version bigint primary key,
        up bytea not null check (length(up) = 32),
        down bytea not null check (length(down) = 32)
    );";
    let comment = format!(
        "comment on table _sqlx_migrations is '{}'",
        mark(application)
    );
    let script = format!("{history} {tokens} {comment}");
    // It contains no text of a caller.
    let script = sqlx::raw_sql(AssertSqlSafe(script));
    script.execute(connection).await.map(drop)
}

/// Records that a migration was applied, and its duration.
pub(super) async fn record(
    connection: &mut PgConnection,
    migration: &Migration,
    elapsed: Duration,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values ($1, $2, true, $3, $4)",
    )
    .bind(migration.number())
    .bind(migration.name().replace('_', " "))
    .bind(migration.checksum())
    // Nanoseconds: an i64 holds 292 years.
    .bind(i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX))
    .execute(&mut *connection)
    .await?;
    sqlx::query("insert into _migrator_tokens (version, up, down) values ($1, $2, $3)")
        .bind(migration.number())
        .bind(migration.token_hash(Direction::Up))
        .bind(migration.token_hash(Direction::Down))
        .execute(connection)
        .await?;
    Ok(())
}

/// Removes a migration from the history.
pub(super) async fn remove(
    connection: &mut PgConnection,
    migration: &Migration,
) -> Result<(), sqlx::Error> {
    for statement in [
        "delete from _sqlx_migrations where version = $1",
        "delete from _migrator_tokens where version = $1",
    ] {
        sqlx::query(statement)
            .bind(migration.number())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
