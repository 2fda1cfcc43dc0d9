//! Writes migrations and the record of a release into a project.

use std::{
    fmt, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{Error, MIGRATIONS, Project, RELEASED, ReleaseRecord, file_of, paths};

/// The result of recording a release.
#[derive(Clone, Debug, Serialize)]
pub struct ReleaseReport {
    /// The number of the newest migration at the release.
    pub version: i64,
    /// The written files, one for each owner.
    pub files: Vec<PathBuf>,
}

impl fmt::Display for ReleaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for file in &self.files {
            let file = file.display();
            writeln!(
                f,
                "Recorded the statements of version {} in {file}",
                self.version
            )?;
        }
        Ok(())
    }
}

impl Project {
    /// Writes the two files of a migration, whose paths are relative to the project. Creates the
    /// directory of the migrations if it is missing. Never overwrites a file; after a failure,
    /// neither file exists.
    pub(crate) fn write_migration(
        directory: &Path,
        [up_path, down_path]: [&Path; 2],
        [up, down]: [&str; 2],
    ) -> io::Result<()> {
        let (up_path, down_path) = (directory.join(up_path), directory.join(down_path));
        let migrations = up_path.parent().unwrap_or(directory);
        let is_new = !migrations.exists();
        fs::create_dir_all(migrations)?;
        let written = create(&up_path, up)
            .and_then(|()| create(&down_path, down).inspect_err(|_| remove(&up_path)));
        if written.is_err() && is_new {
            // It fails if another process has written a file there.
            let _ = fs::remove_dir(migrations);
        }
        written
    }

    /// Returns the paths of a migration's files, relative to the project. The name may consist of
    /// any words.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] for an unknown owner, a number out of range, or a name
    /// without a letter or digit.
    pub(crate) fn migration_paths(
        &self,
        owner: &str,
        number: i64,
        name: &str,
    ) -> io::Result<[PathBuf; 2]> {
        let invalid = |message: String| io::Error::new(io::ErrorKind::InvalidInput, message);
        if !self.owners.iter().any(|known| known.name == owner) {
            let known: Vec<_> = self
                .owners
                .iter()
                .map(|owner| owner.name.as_str())
                .collect();
            let known = known.join(" or ");
            return Err(invalid(format!("unknown owner {owner}; name {known}")));
        }
        if !(1..=9999).contains(&number) {
            return Err(invalid(format!("a number has four digits, not {number}")));
        }
        let name = file_name(name).ok_or_else(|| {
            invalid(format!(
                "`{name}` has no letter from a to z and no digit; use some words"
            ))
        })?;
        Ok(["up", "down"].map(|direction| {
            let file = format!("{MIGRATIONS}/{number:04}_{name}.{direction}.sql");
            paths::of_owner(owner, &file).into()
        }))
    }

    /// Records the current statements of a project's owners as those of their release.
    ///
    /// # Errors
    ///
    /// [`Error`] if a file cannot be read or written.
    pub fn release(directory: &Path) -> Result<ReleaseReport, Error> {
        let mut files = Vec::new();
        // The record of the previous release may be malformed.
        let project = Self::read_without_releases(directory)?;
        let version = project.migrations()?.newest();
        for owner in project.owners {
            let mut statements: Vec<_> = owner.recorded.into_iter().map(|r| r.query).collect();
            statements.sort();
            let path = file_of(directory, &owner.name, RELEASED);
            let released = ReleaseRecord {
                version,
                statements,
            };
            replace(&path, &released).map_err(|source| Error::Unwritable {
                path: path.clone(),
                source,
            })?;
            files.push(path);
        }
        Ok(ReleaseReport { version, files })
    }
}

/// Joins the words of a text by `_`, in lower case. Returns `None` without a word.
fn file_name(words: &str) -> Option<String> {
    let words: Vec<_> = words
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    (!words.is_empty()).then(|| words.join("_"))
}

/// Creates a file with this text. After a failure, the file does not exist.
fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::File::create_new(path)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .inspect_err(|_| remove(path))
}

/// Removes a file that this process has just created.
fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::warn!(%error, file = %path.display(), "cannot remove an unfinished file");
    }
}

/// Replaces the record of a release atomically.
fn replace(path: &Path, released: &ReleaseRecord) -> io::Result<()> {
    let mut text = serde_json::to_string_pretty(released)?;
    text.push('\n');
    let new = path.with_extension("json.new");
    fs::write(&new, text)?;
    fs::rename(&new, path).inspect_err(|_| remove(&new))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// Copies the services' files into a temporary source tree.
    fn tree() -> TempDir {
        let folder = TempDir::new().unwrap();
        // Tests run in the folder of their crate.
        let root = Path::new("..");
        for service in super::super::embedded::services() {
            for part in ["migrations", ".sqlx"] {
                let into = folder.path().join(service).join(part);
                fs::create_dir_all(&into).unwrap();
                for entry in fs::read_dir(root.join(service).join(part)).unwrap() {
                    let entry = entry.unwrap();
                    fs::copy(entry.path(), into.join(entry.file_name())).unwrap();
                }
            }
            for file in [paths::SCHEMA, RELEASED] {
                let into = folder.path().join(service).join(file);
                fs::copy(root.join(service).join(file), into).unwrap();
            }
        }
        folder
    }

    /// Writes a migration with the scripts `up` and `down`.
    fn write(folder: &Path, owner: &str, number: i64, name: &str) -> io::Result<()> {
        let project = Project::read_without_releases(folder).unwrap();
        let paths = project.migration_paths(owner, number, name)?;
        Project::write_migration(
            folder,
            paths.each_ref().map(PathBuf::as_path),
            ["up", "down"],
        )
    }

    #[test]
    fn compiled_in_files_match_the_source_tree() {
        let folder = tree();

        let read = Project::read(folder.path()).unwrap();
        let embedded = Project::embedded().unwrap();

        for (read, embedded) in read.owners.iter().zip(&embedded.owners) {
            assert_eq!(read.name, embedded.name);
            assert_eq!(read.schema, embedded.schema);
            assert_eq!(read.migrations, embedded.migrations);
            assert_eq!(read.recorded, embedded.recorded);
            assert_eq!(read.released, embedded.released);
            assert!(!read.recorded.is_empty() && read.recorded[0].line == 3);
        }
        assert_eq!(read.migrations().unwrap().newest() + 1, read.next_number());
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        for unreadable in [
            "user-service/schema.sql",
            "post-service/released.json",
            "post-service/migrations",
            "user-service/.sqlx",
        ] {
            let folder = tree();
            let path = folder.path().join(unreadable);
            if path.is_dir() {
                fs::remove_dir_all(&path).unwrap();
                fs::write(&path, "a file").unwrap();
            } else {
                fs::remove_file(&path).unwrap();
                fs::create_dir(&path).unwrap();
            }

            let error = Project::read(folder.path()).unwrap_err();

            let line = format!("{} cannot be read", path.display());
            assert!(error.to_string().starts_with(&line), "{error}");
        }
    }

    #[test]
    fn a_malformed_record_is_rejected_with_a_remedy() {
        for (file, remedy) in [
            ("user-service/released.json", "migrator release"),
            ("user-service/.sqlx/query-0.json", ".ci/prepare"),
        ] {
            let folder = tree();
            fs::write(folder.path().join(file), "{}").unwrap();

            let error = Project::read(folder.path()).unwrap_err().to_string();

            assert!(error.contains(file) && error.contains(remedy), "{error}");
        }
    }

    #[test]
    fn a_migration_is_written_as_a_pair_of_files() {
        let folder = tree();

        let written = write(folder.path(), "user-service", 7, " Add  Bio!");

        let migrations = folder.path().join("user-service/migrations");
        let expected =
            ["0007_add_bio.up.sql", "0007_add_bio.down.sql"].map(|name| migrations.join(name));
        written.unwrap();
        assert_eq!(fs::read_to_string(&expected[0]).unwrap(), "up");
        assert_eq!(fs::read_to_string(&expected[1]).unwrap(), "down");
        assert_eq!(Project::read(folder.path()).unwrap().next_number(), 8);
    }

    #[test]
    fn a_migration_never_overwrites_a_file() {
        let folder = tree();
        let migrations = folder.path().join("user-service/migrations");
        let [up, down] = ["0007_add.up.sql", "0007_add.down.sql"].map(|name| migrations.join(name));
        for (there, other) in [(&up, &down), (&down, &up)] {
            fs::write(there, "mine").unwrap();

            let refusal = write(folder.path(), "user-service", 7, "add");

            assert_eq!(refusal.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::read_to_string(there).unwrap(), "mine");
            assert!(!other.exists());
            fs::remove_file(there).unwrap();
        }
    }

    #[test]
    fn an_invalid_owner_number_or_name_is_rejected() {
        let folder = tree();
        for (owner, number, name) in [
            ("zoo", 7, "add"),
            ("user-service", 7, " é-"),
            ("user-service", 0, "add"),
            ("user-service", 10_000, "add"),
        ] {
            let refusal = write(folder.path(), owner, number, name);

            let kind = refusal.unwrap_err().kind();
            assert_eq!(kind, io::ErrorKind::InvalidInput, "{owner} {number} {name}");
        }
    }

    #[test]
    fn a_release_records_the_current_statements() {
        let folder = tree();
        let service = folder.path().join("post-service");
        fs::write(service.join(RELEASED), "no JSON").unwrap();
        let record = r#"{"query": "select 0"}"#;
        fs::write(service.join(".sqlx/query-0.json"), record).unwrap();
        write(folder.path(), "post-service", 7, "add").unwrap();

        let written = Project::release(folder.path()).unwrap();

        let project = Project::read(folder.path()).unwrap();
        let posts = &project.owners[1];
        assert_eq!(posts.released.version, 7);
        assert_eq!(posts.released.statements.len(), posts.recorded.len());
        assert!(posts.released.statements.contains(&"select 0".to_owned()));
        assert_eq!(project.owners[0].released.version, 7);
        assert!(written.files.len() == 2 && written.files[1] == service.join(RELEASED));
    }
}
