//! The printable name of a database.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use database::postgres::PostgresUrl;
use serde::Serialize;

/// The name of a database in messages and reports: the path of its file, or its URL without the
/// password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum DatabaseName {
    /// The path of an SQLite database.
    File(PathBuf),
    /// The URL of a PostgreSQL database.
    Url(String),
}

impl DatabaseName {
    /// Returns the path, if the database is a file.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Url(_) => None,
        }
    }

    /// Returns the name of the database at a URL.
    pub(crate) fn from_url(url: &PostgresUrl) -> Self {
        Self::Url(url.to_string())
    }
}

impl From<&Path> for DatabaseName {
    fn from(file: &Path) -> Self {
        Self::File(file.to_owned())
    }
}

impl fmt::Display for DatabaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url(url) => url.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_by_its_path_in_text_and_json() {
        let name = DatabaseName::from(Path::new("/srv/blog.db"));

        assert_eq!(name.to_string(), "/srv/blog.db");
        assert_eq!(serde_json::to_value(&name).unwrap(), "/srv/blog.db");
    }
}
