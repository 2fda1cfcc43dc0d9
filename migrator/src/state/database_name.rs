//! The printable name of a database.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::Serialize;

/// The name of a database in messages and reports: the path of its file. A name that comes from a
/// URL must omit the password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct DatabaseName(PathBuf);

impl DatabaseName {
    /// Returns the path, if the database is a file.
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
    fn a_file_is_named_by_its_path_in_text_and_json() {
        let name = DatabaseName::from(Path::new("/srv/blog.db"));

        assert_eq!(name.to_string(), "/srv/blog.db");
        assert_eq!(serde_json::to_value(&name).unwrap(), "/srv/blog.db");
    }
}
