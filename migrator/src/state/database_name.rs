//! The name of a database, as messages and reports give it.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::Serialize;

/// The name of a database: the path of its file. It can be printed anywhere, so a name that
/// comes from a URL has to leave the password out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct DatabaseName(PathBuf);

impl DatabaseName {
    /// Returns the file, if the database is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        Some(&self.0)
    }
}

impl From<&Path> for DatabaseName {
    fn from(file: &Path) -> Self {
        Self(file.to_owned())
    }
}

impl fmt::Display for DatabaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_by_its_path_in_messages_and_in_json() {
        let name = DatabaseName::from(Path::new("/srv/blog.db"));

        assert_eq!(name.to_string(), "/srv/blog.db");
        assert_eq!(serde_json::to_value(&name).unwrap(), "/srv/blog.db");
    }
}
