//! The roles of the owners. The owner `user-service` has the role `user_owner`, which owns its tables,
//! and the role `user_service` of the running service, to which the migrations grant rights.

use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, PgConnection};

use super::error::PostgresError;
use crate::{
    project::migrations::{Migration, Migrations},
    state::error::DatabaseError,
};

/// The roles of all owners of a project.
#[derive(Debug)]
pub(super) struct Roles {
    /// The roles that own tables.
    owners: BTreeSet<String>,
    /// The roles of the running services.
    services: BTreeSet<String>,
}

/// Returns the role that owns the tables of an owner.
pub(super) fn owner_role(owner: &str) -> String {
    let name = service_role(owner);
    format!("{}_owner", name.trim_end_matches("_service"))
}

/// Returns the role of the running service: the name of the directory, with `_` for other characters
/// than letters and digits.
fn service_role(owner: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '_'
        }
    };
    owner.chars().map(plain).collect()
}

impl Roles {
    pub(super) fn of(migrations: &Migrations) -> Self {
        let owners: BTreeSet<_> = migrations.iter().map(Migration::owner).collect();
        Self {
            services: owners.iter().map(|owner| service_role(owner)).collect(),
            owners: owners.into_iter().map(owner_role).collect(),
        }
    }

    /// Rejects a server that lacks a role, or a login that is no member of the owners.
    pub(super) async fn check(&self, connection: &mut PgConnection) -> Result<(), DatabaseError> {
        let (login, known): (String, Vec<String>) =
            sqlx::query_as("select current_user::text, array(select rolname::text from pg_roles)")
                .fetch_one(&mut *connection)
                .await?;
        let missing = |role: &&String| !known.contains(role);
        let mut statements: Vec<String> = Vec::new();
        for role in self.owners.iter().filter(missing) {
            statements.push(format!("create role {role};"));
        }
        for role in self.services.iter().filter(missing) {
            statements.push(format!("create role {role} login;"));
        }
        for role in &self.owners {
            let member = known.contains(role)
                && sqlx::query_scalar("select pg_has_role($1, 'member')")
                    .bind(role)
                    .fetch_one(&mut *connection)
                    .await?;
            if !member {
                statements.push(format!("grant {role} to \"{login}\";"));
            }
        }
        if statements.is_empty() {
            return Ok(());
        }
        Err(PostgresError::MissingRoles {
            sql: statements.join(" "),
        }
        .into())
    }

    /// Lets the owners create tables, and the services read the version.
    pub(super) async fn grant(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        for role in &self.owners {
            execute(
                connection,
                format!("grant usage, create on schema public to {role}"),
            )
            .await?;
        }
        for role in &self.services {
            execute(
                connection,
                format!("grant select on _sqlx_migrations to {role}"),
            )
            .await?;
        }
        Ok(())
    }
}

/// Executes a statement of this module. The names of roles have only letters, digits and `_`.
async fn execute(connection: &mut PgConnection, statement: String) -> Result<(), sqlx::Error> {
    let statement = sqlx::raw_sql(AssertSqlSafe(statement));
    statement.execute(connection).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_derived_from_the_directory() {
        for (owner, service, table_owner) in [
            ("user-service", "user_service", "user_owner"),
            ("blog", "blog", "blog_owner"),
            ("apps/Shop", "apps_shop", "apps_shop_owner"),
        ] {
            assert_eq!(service_role(owner), service);
            assert_eq!(owner_role(owner), table_owner);
        }
    }
}
