//! The files of the services: declared schemas, migrations, recorded statements and the
//! statements of the last release. Knows file names, but neither a database nor the meaning of a
//! script.

pub(crate) mod migrations;
mod write;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use include_dir::{Dir, include_dir};
use serde::{Deserialize, Serialize};

use self::migrations::{InvalidMigrations, Migrations};
pub use self::write::ReleaseReport;
use crate::error::exit::Exit;

/// The compiled-in files of a service.
struct EmbeddedService {
    name: &'static str,
    schema: &'static str,
    released: &'static str,
    migrations: Dir<'static>,
    recorded: Dir<'static>,
}

/// The services. Their migrations share one sequence of numbers; the folder determines the
/// owner.
static OWNERS: [EmbeddedService; 2] = [
    EmbeddedService {
        name: "user-service",
        schema: include_str!("../../user-service/schema.sql"),
        released: include_str!("../../user-service/released.json"),
        migrations: include_dir!("$CARGO_MANIFEST_DIR/../user-service/migrations"),
        recorded: include_dir!("$CARGO_MANIFEST_DIR/../user-service/.sqlx"),
    },
    EmbeddedService {
        name: "post-service",
        schema: include_str!("../../post-service/schema.sql"),
        released: include_str!("../../post-service/released.json"),
        migrations: include_dir!("$CARGO_MANIFEST_DIR/../post-service/migrations"),
        recorded: include_dir!("$CARGO_MANIFEST_DIR/../post-service/.sqlx"),
    },
];

/// The file with the declared schema of a service.
const SCHEMA: &str = "schema.sql";

/// The file with the statements of a service's last release.
const RELEASED: &str = "released.json";

/// The files of all services.
#[derive(Clone, Debug)]
pub struct Project {
    pub(crate) owners: Vec<Owner>,
}

/// The files of a service.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    /// The name of the folder.
    pub(crate) name: String,
    /// The text of `schema.sql`.
    pub(crate) schema: String,
    /// The files of the migrations, ordered by name.
    pub(crate) migrations: Vec<TextFile>,
    /// The statements that sqlx recorded, ordered by file.
    pub(crate) recorded: Vec<RecordedStatement>,
    /// The statements of the last release.
    pub(crate) released: ReleaseRecord,
}

/// A text file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TextFile {
    /// The name without the folder.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// A statement that `sqlx prepare` recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordedStatement {
    /// The path in the repository.
    pub(crate) file: String,
    /// The line of the statement in the file, from 1.
    pub(crate) line: usize,
    pub(crate) query: String,
}

/// The statements of a release. They must work on newer schemas, since the release keeps running
/// until the new programs start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReleaseRecord {
    /// The number of the newest migration at the release.
    pub(crate) version: i64,
    /// In alphabetical order.
    pub(crate) statements: Vec<String>,
}

/// A project cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Name the folder of a source tree, or restore the file.
    #[error(
        "{} cannot be read; it belongs to a source tree of the services",
        path.display()
    )]
    Unreadable {
        /// The file or the folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Correct or regenerate the file.
    #[error("{file} is malformed; {remedy}")]
    Malformed {
        /// The path in the repository.
        file: String,
        /// The command that writes the file.
        remedy: &'static str,
        /// The position of the error.
        source: serde_json::Error,
    },
    /// Correct the names of the migrations.
    #[error(transparent)]
    InvalidMigrations(#[from] InvalidMigrations),
    /// Make the folder writable.
    #[error("{} cannot be written", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

impl Error {
    /// Returns the exit code and the machine-readable reason.
    pub(crate) fn exit_and_reason(&self) -> (Exit, &'static str) {
        let exit = match self {
            Self::Unreadable { .. } => Exit::Config,
            Self::InvalidMigrations(_) => Exit::History,
            Self::Malformed { .. } | Self::Unwritable { .. } => Exit::Failed,
        };
        (exit, "INVALID_PROJECT")
    }
}

impl Project {
    /// Returns the compiled-in files.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`], which a test prevents in a release.
    pub fn embedded() -> Result<Self, Error> {
        let files = |folder: &'static Dir<'static>| {
            let files = embedded_texts(folder).map(|(name, text)| TextFile {
                name: name.to_owned(),
                text: text.to_owned(),
            });
            files.collect()
        };
        let owners = OWNERS.iter().map(|owner| {
            Owner::new(
                owner.name,
                owner.schema.to_owned(),
                files(&owner.migrations),
                files(&owner.recorded),
                owner.released,
            )
        });
        Ok(Self {
            owners: owners.collect::<Result<_, _>>()?,
        })
    }

    /// Returns the compiled-in migrations, without parsing the other files.
    ///
    /// # Errors
    ///
    /// [`InvalidMigrations`], which a test prevents in a release.
    pub fn embedded_migrations() -> Result<Migrations, InvalidMigrations> {
        let files = OWNERS.iter().flat_map(|owner| {
            let files = embedded_texts(&owner.migrations);
            files.map(|(name, text)| (owner.name, name, text))
        });
        Migrations::from_files(files)
    }

    /// Reads the files of a source tree.
    ///
    /// # Errors
    ///
    /// [`Error::Unreadable`] if a file is missing, and [`Error::Malformed`].
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let owners = OWNERS.iter().map(|EmbeddedService { name, .. }| {
            let folder = folder.join(name);
            Owner::new(
                name,
                text(&folder.join(SCHEMA))?,
                texts(&folder.join("migrations"))?,
                texts(&folder.join(".sqlx"))?,
                &text(&folder.join(RELEASED))?,
            )
        });
        Ok(Self {
            owners: owners.collect::<Result<_, _>>()?,
        })
    }

    /// Returns the migrations of all services.
    ///
    /// # Errors
    ///
    /// Those of [`Migrations::from_files`].
    pub fn migrations(&self) -> Result<Migrations, InvalidMigrations> {
        Migrations::from_files(self.migration_files())
    }

    /// Returns the files of all migrations, each with its owner, its name and its text.
    pub(crate) fn migration_files(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.owners.iter().flat_map(|owner| {
            let files = owner.migrations.iter();
            files.map(|file| (owner.name.as_str(), file.name.as_str(), file.text.as_str()))
        })
    }

    /// Returns the number of the next migration.
    pub(crate) fn next_number(&self) -> i64 {
        let files = self.owners.iter().flat_map(|owner| &owner.migrations);
        let numbers = files.filter_map(|file| file.name.split_once('_')?.0.parse::<i64>().ok());
        numbers.max().unwrap_or(0) + 1
    }
}

impl Owner {
    /// Adds a file of a migration.
    pub(crate) fn add(&mut self, path: &Path, text: &str) {
        let name = path.file_name().unwrap_or_default();
        self.migrations.push(TextFile {
            name: name.to_string_lossy().into_owned(),
            text: text.to_owned(),
        });
    }

    fn new(
        name: &str,
        schema: String,
        migrations: Vec<TextFile>,
        recorded: Vec<TextFile>,
        released: &str,
    ) -> Result<Self, Error> {
        Ok(Self {
            name: name.to_owned(),
            schema,
            migrations,
            recorded: parse_recorded(name, recorded)?,
            released: serde_json::from_str(released).map_err(|source| Error::Malformed {
                file: format!("{name}/{RELEASED}"),
                remedy: "`migrator release` writes it",
                source,
            })?,
        })
    }
}

/// Parses the statements in the files that sqlx recorded for a service. Ignores other files.
fn parse_recorded(owner: &str, files: Vec<TextFile>) -> Result<Vec<RecordedStatement>, Error> {
    /// The needed field of such a file.
    #[derive(Deserialize)]
    struct Record {
        query: String,
    }

    let is_record = |file: &TextFile| {
        let hash = file.name.strip_prefix("query-");
        hash.and_then(|hash| hash.strip_suffix(".json")).is_some()
    };
    let recorded = files.into_iter().filter(is_record).map(|file| {
        let path = format!("{owner}/.sqlx/{}", file.name);
        match serde_json::from_str::<Record>(&file.text) {
            Ok(Record { query }) => {
                let before = file.text.find("\"query\"").unwrap_or_default();
                Ok(RecordedStatement {
                    file: path,
                    line: file.text[..before].matches('\n').count() + 1,
                    query,
                })
            }
            Err(source) => Err(Error::Malformed {
                file: path,
                remedy: "`bash .ci/prepare` writes it",
                source,
            }),
        }
    });
    recorded.collect()
}

/// Returns the names and texts of a compiled-in folder.
fn embedded_texts(
    folder: &'static Dir<'static>,
) -> impl Iterator<Item = (&'static str, &'static str)> {
    let files = folder.files();
    files.filter_map(|file| Some((file.path().to_str()?, file.contents_utf8()?)))
}

/// Reads a text file.
fn text(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::Unreadable {
        path: path.to_owned(),
        source,
    })
}

/// Reads all files of a folder, ordered by name. Rejects a subfolder.
fn texts(folder: &Path) -> Result<Vec<TextFile>, Error> {
    let unreadable = |source| Error::Unreadable {
        path: folder.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        files.push(TextFile {
            name: entry.file_name().to_string_lossy().into_owned(),
            text: text(&entry.path())?,
        });
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiled_in_migrations_are_valid() {
        let migrations = Project::embedded_migrations().unwrap();

        let numbers: Vec<_> = migrations
            .iter()
            .map(migrations::Migration::number)
            .collect();
        let sequence: Vec<_> = (1..=migrations.newest()).collect();
        assert_eq!(numbers, sequence, "the numbers have gaps");
        assert_eq!(migrations.get(1).unwrap().owner(), "user-service");
        assert_eq!(migrations.get(2).unwrap().owner(), "post-service");
    }
}
