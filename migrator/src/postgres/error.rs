//! The errors that only a PostgreSQL database has.

use crate::{error::exit::Exit, state::database_name::DatabaseName};

/// A PostgreSQL database cannot be used. Each variant states the remedy.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// Use a supported server.
    #[error("{version} is not supported; PostgreSQL 15 or later is")]
    Version {
        /// The version, as the server tells it.
        version: String,
    },
    /// Create the database with another encoding.
    #[error("{database} has the encoding {encoding}; create it with `encoding 'UTF8'`")]
    Encoding {
        /// The database.
        database: DatabaseName,
        /// Its encoding.
        encoding: String,
    },
    /// Correct the user or the password.
    #[error("{database} rejects the login; check the user and the password")]
    Login {
        /// The database.
        database: DatabaseName,
        /// The error of the server.
        source: sqlx::Error,
    },
    /// Create the database as an administrator.
    #[error(
        "the database {database} cannot be created; let an administrator create it: \
         `create database … template template0 encoding 'UTF8' locale 'C.UTF-8'`"
    )]
    NotCreated {
        /// The database.
        database: DatabaseName,
        /// The error of the server.
        source: sqlx::Error,
    },
    /// Create the roles as an administrator.
    #[error("roles are missing; let an administrator execute: {sql}")]
    MissingRoles {
        /// The statements that create the roles.
        sql: String,
    },
    /// Use an SQLite database, or the tools of PostgreSQL.
    #[error("`{command}` does not work on PostgreSQL; {instead}")]
    Unsupported {
        /// The command.
        command: &'static str,
        /// The alternative.
        instead: &'static str,
    },
}

impl PostgresError {
    /// Returns the exit code and the machine-readable reason.
    pub(crate) fn exit_and_reason(&self) -> (Exit, &'static str) {
        match self {
            Self::Version { .. } => (Exit::Config, "SERVER_TOO_OLD"),
            Self::Encoding { .. } => (Exit::Config, "NOT_UTF8"),
            Self::Login { .. } => (Exit::Config, "LOGIN_REJECTED"),
            Self::NotCreated { .. } => (Exit::Config, "NOT_PERMITTED"),
            Self::MissingRoles { .. } => (Exit::Config, "MISSING_ROLES"),
            Self::Unsupported { .. } => (Exit::Usage, "UNSUPPORTED_ON_POSTGRESQL"),
        }
    }
}
