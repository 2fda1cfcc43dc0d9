//! The checks of the database at startup: server, version of the schema, statements, and the rights
//! of the role. The database may not exist yet, since the migrator may run only after this process
//! starts.

use std::time::Duration;

use chrono::Utc;
use process::ExitError;
use sqlx::{Connection, Executor, PgConnection, SqlSafeStr, error::DatabaseError};

use super::Database;
use crate::{
    readiness::{NotReady, wait_until_ready},
    recorded::Recorded,
};

/// The oldest supported version of the server, as `server_version_num`.
const MIN_SERVER_VERSION: i32 = 15_00_00;

/// The longest time to connect and to execute all checks.
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest difference between the clocks of this machine and of the server. A larger one would
/// become the creation times of all rows that other machines create meanwhile.
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(5);

impl Database {
    /// Waits until the database is ready.
    pub(super) async fn start(&self) -> Result<(), ExitError> {
        wait_until_ready(self.startup_timeout, async || {
            let checked = tokio::time::timeout(CHECK_TIMEOUT, self.check()).await;
            checked.unwrap_or_else(|_| {
                Err(NotReady::Retry(format!(
                    "{} did not respond within {} s",
                    self.url,
                    CHECK_TIMEOUT.as_secs()
                )))
            })
        })
        .await
    }

    async fn check(&self) -> Result<(), NotReady> {
        let connected = PgConnection::connect_with(&self.url.options()).await;
        let mut connection = connected.map_err(|error| self.connect_error(&error))?;
        self.check_server(&mut connection).await?;
        self.set_role(&mut connection).await?;
        self.check_version(&mut connection).await?;
        self.check_rights(&mut connection).await?;
        self.prepare_all(&mut connection).await?;
        // A failed goodbye to the server has no effect on the service.
        let _ = connection.close().await;
        Ok(())
    }

    /// Sets the role of the service, if the login is a member of all roles.
    async fn set_role(&self, connection: &mut PgConnection) -> Result<(), NotReady> {
        if !self.set_role {
            return Ok(());
        }
        let role = self.requirements.role;
        sqlx::query("select set_config('role', $1, false)")
            .bind(role)
            .execute(connection)
            .await
            .map_err(|error| {
                config(format!(
                    "the login of {} cannot set the role {role} ({error}); grant it the role",
                    self.url
                ))
            })?;
        Ok(())
    }

    /// Checks the server and its settings.
    async fn check_server(&self, connection: &mut PgConnection) -> Result<(), NotReady> {
        let server: (String, i32, String, String, bool, i64) = sqlx::query_as(
            "select version(), current_setting('server_version_num')::int,
                current_setting('server_encoding'), current_setting('synchronous_commit'),
                pg_is_in_recovery(), (extract(epoch from clock_timestamp()) * 1000000)::bigint",
        )
        .fetch_one(connection)
        .await
        .map_err(|error| self.cannot_use(&error))?;
        let (version, version_number, encoding, synchronous_commit, is_standby, clock) = server;
        let url = &self.url;
        if version.contains("CockroachDB") || version.contains("-YB-") {
            return Err(config(format!(
                "{url} is {version}; only PostgreSQL is supported"
            )));
        }
        if version_number < MIN_SERVER_VERSION {
            return Err(config(format!(
                "{url} is {version}; PostgreSQL 15 or later is needed"
            )));
        }
        if encoding != "UTF8" {
            return Err(config(format!(
                "{url} has the encoding {encoding}; create the database with `encoding 'UTF8'`"
            )));
        }
        if ["off", "local"].contains(&synchronous_commit.as_str()) {
            return Err(config(format!(
                "{url} has synchronous_commit = {synchronous_commit}, with which acknowledged writes \
                 can be lost; set it to on"
            )));
        }
        if is_standby {
            return Err(NotReady::Retry(format!(
                "{url} is a read-only standby; DATABASE_URL has to lead to the primary"
            )));
        }
        let difference = (Utc::now().timestamp_micros() - clock).unsigned_abs();
        if Duration::from_micros(difference) > MAX_CLOCK_DIFFERENCE {
            return Err(NotReady::Retry(format!(
                "the clocks of this machine and of {url} differ by {} s; synchronize them",
                Duration::from_micros(difference).as_secs()
            )));
        }
        Ok(())
    }

    /// Checks that the schema has the version that the service needs, or a later one.
    async fn check_version(&self, connection: &mut PgConnection) -> Result<(), NotReady> {
        let exists: bool = sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null")
            .fetch_one(&mut *connection)
            .await
            .map_err(|error| self.cannot_use(&error))?;
        let version: Option<i64> = if exists {
            sqlx::query_scalar("select max(version) from _sqlx_migrations where success")
                .fetch_one(connection)
                .await
                .map_err(|error| self.cannot_use(&error))?
        } else {
            None
        };
        let needed = self.requirements.min_schema_version;
        match version {
            Some(version) if version >= needed => Ok(()),
            version => Err(NotReady::Retry(format!(
                "{} is at version {} and this service needs {needed}; run `migrator upgrade`",
                self.url,
                version.unwrap_or(0),
            ))),
        }
    }

    /// Checks that the role has no rights on tables of another service, and may not change the schema.
    async fn check_rights(&self, connection: &mut PgConnection) -> Result<(), NotReady> {
        let rights: (String, bool, Option<String>) = sqlx::query_as(
            "select current_user, has_schema_privilege(current_schema(), 'create'), (
                select min(relname) from pg_class
                where relkind in ('r', 'p') and relnamespace = current_schema()::regnamespace
                and relname <> all ($1) and (
                    has_table_privilege(oid, 'insert, update, delete, truncate')
                    or relname <> '_sqlx_migrations' and has_any_column_privilege(oid, 'select')
                )
            )",
        )
        .bind(self.requirements.access.owned_tables)
        .fetch_one(connection)
        .await
        .map_err(|error| self.cannot_use(&error))?;
        let remedy = format!("use the role {} (docs/postgres.md)", self.requirements.role);
        match rights {
            (role, true, _) => Err(config(format!(
                "the role {role} of {} may change the schema; {remedy}",
                self.url
            ))),
            (role, _, Some(table)) => Err(config(format!(
                "the role {role} of {} has rights on the table {table} of another service; {remedy}",
                self.url
            ))),
            _ => Ok(()),
        }
    }

    /// Checks that the server prepares every statement of the service, with the rights of its role. A
    /// later version of the schema may have dropped a column.
    async fn prepare_all(&self, connection: &mut PgConnection) -> Result<(), NotReady> {
        for statement in Recorded::all(self.requirements, "PostgreSQL")? {
            if let Err(error) = connection.prepare(statement.into_sql_str()).await {
                return Err(config(format!(
                    "this version of the service does not work with the schema of {} ({error}); \
                     run a version as new as the database",
                    self.url
                )));
            }
        }
        Ok(())
    }

    /// Returns the reason for a failed connection.
    fn connect_error(&self, error: &sqlx::Error) -> NotReady {
        let url = &self.url;
        let code = error.as_database_error().and_then(DatabaseError::code);
        match code.as_deref() {
            // invalid_password, invalid_authorization_specification
            Some("28P01" | "28000") => config(format!(
                "{url} rejects the login ({error}); check the user and the password"
            )),
            // invalid_catalog_name
            Some("3D000") => NotReady::Retry(format!(
                "{url} does not exist; `migrator create` creates it"
            )),
            _ if matches!(error, sqlx::Error::Tls(_) | sqlx::Error::Configuration(_)) => config(
                format!("no secure connection to {url}: {error}; check sslmode and sslrootcert"),
            ),
            _ => NotReady::Retry(format!("{url} cannot be reached: {error}")),
        }
    }

    /// Returns the reason for an error of the first statements on a connection.
    fn cannot_use(&self, error: &sqlx::Error) -> NotReady {
        let url = &self.url;
        let code = error.as_database_error().and_then(DatabaseError::code);
        match code.as_deref() {
            // invalid_sql_statement_name, duplicate_prepared_statement
            Some("26000" | "42P05") => config(format!(
                "a pooler before {url} does not support prepared statements ({error}); use \
                 PgBouncer 1.21 or later with max_prepared_statements (docs/postgres.md)"
            )),
            // insufficient_privilege
            Some("42501") => config(format!("the role of {url} lacks a right: {error}")),
            _ => NotReady::Retry(format!("{url} failed: {error}")),
        }
    }
}

fn config(reason: String) -> NotReady {
    NotReady::Fatal(ExitError::Config(reason))
}
