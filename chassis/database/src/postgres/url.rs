//! The URL of a PostgreSQL database.

use std::{fmt, str::FromStr};

use sqlx::{ConnectOptions, postgres::PgConnectOptions};

/// A valid URL, for error messages.
const EXAMPLE: &str = "postgres://user_service@db.example:5432/microblog?sslmode=verify-full";

/// The URL of a PostgreSQL database: `postgres://user@host:port/database`. Its `Display` shows no
/// password.
#[derive(Clone)]
pub struct PostgresUrl {
    // Boxed: it is ten times as large as a path.
    options: Box<PgConnectOptions>,
}

impl PostgresUrl {
    /// Returns the options of a connection.
    #[must_use]
    pub fn options(&self) -> PgConnectOptions {
        PgConnectOptions::clone(&self.options)
    }

    /// Returns the name of the database.
    #[must_use]
    pub fn database(&self) -> &str {
        self.options.get_database().unwrap_or_default()
    }
}

impl FromStr for PostgresUrl {
    type Err = String;

    /// Parses a URL, which may have a password. The error never shows a part of it.
    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let invalid = |why: &str| format!("{why}; write for example {EXAMPLE}");
        let options: PgConnectOptions = url
            .parse()
            .map_err(|_| invalid("it is not a URL of a PostgreSQL database"))?;
        if options.get_database().is_none_or(str::is_empty) {
            return Err(invalid("it names no database"));
        }
        let options = options
            // A pooler between the service and the server rejects parameters that it does not know.
            .extra_float_digits(None)
            .disable_statement_logging();
        Ok(Self {
            options: Box::new(options),
        })
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.options;
        write!(f, "postgres://{}@", options.get_username())?;
        match options.get_socket() {
            Some(socket) => write!(f, "{}", socket.display())?,
            None => write!(f, "{}:{}", options.get_host(), options.get_port())?,
        }
        write!(f, "/{}", self.database())
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for PostgresUrl {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for PostgresUrl {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password() {
        let url: PostgresUrl = "postgres://u:secret@db.example/blog?sslmode=require"
            .parse()
            .unwrap();

        assert_eq!(url.to_string(), "postgres://u@db.example:5432/blog");
        assert!(!format!("{url:?}").contains("secret"));
    }

    #[test]
    fn a_rejected_url_is_not_shown() {
        for url in [
            "postgres://u:secret@host",
            "postgres://u:secret@host:x/blog",
        ] {
            let reason = url.parse::<PostgresUrl>().unwrap_err();

            assert!(!reason.contains("secret"), "{reason}");
            assert!(reason.ends_with(EXAMPLE), "{reason}");
        }
    }
}
