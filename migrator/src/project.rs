//! The files of a project: declared schemas, migrations, recorded statements and the statements
//! of the last release. Knows file names, but neither a database nor the meaning of a script.
//!
//! The services of the microblog are compiled in. Any other project is read from a directory: each
//! directory in it that holds a `schema.sql` is an owner, and all other files are optional.

mod config;
mod embedded;
pub(crate) mod error;
mod files;
pub(crate) mod migrations;
pub(crate) mod paths;
mod write;

use std::path::{Path, PathBuf};

use database::settings::DatabaseUrl;
use serde::{Deserialize, Serialize};

use self::{
    config::{CONFIG, Config},
    migrations::{InvalidMigrations, Migrations},
    paths::SCHEMA,
};
pub use self::{error::Error, write::ReleaseReport};
use crate::state::application::Application;

/// The name of the directory with the migrations of an owner.
const MIGRATIONS: &str = "migrations";

/// The name of the directory with the statements that sqlx recorded for an owner.
const RECORDED: &str = ".sqlx";

/// The name of the file with the statements of an owner's last release.
const RELEASED: &str = "released.json";

/// The default database of a project, relative to it.
const DEFAULT_DATABASE: &str = "data/app.db";

/// The engine of the recorded statements that concern this program.
const ENGINE: &str = "SQLite";

/// The files of all owners.
#[derive(Clone, Debug)]
pub struct Project {
    pub(crate) owners: Vec<Owner>,
    pub(crate) application: Application,
    pub(crate) database: DatabaseUrl,
}

/// The files of an owner.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    /// The path of the directory, relative to the project; [`paths::ROOT`] for the project itself.
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
    /// The path in the project.
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

impl Project {
    /// Reads the files of a project. Its owners are those of `migrator.toml`, otherwise the
    /// directories that hold a `schema.sql`.
    ///
    /// # Errors
    ///
    /// [`Error`] if no owner is found, or if a file cannot be read or is malformed.
    pub fn read(directory: &Path) -> Result<Self, Error> {
        let mut project = Self::read_without_releases(directory)?;
        for owner in &mut project.owners {
            let path = file_of(directory, &owner.name, RELEASED);
            if let Some(text) = files::optional_text(&path)? {
                owner.released = parse_released(&owner.name, &text)?;
            }
        }
        Ok(project)
    }

    /// Reads all files except the records of the last release.
    fn read_without_releases(directory: &Path) -> Result<Self, Error> {
        let config = Config::read(directory)?;
        let is_listed = config.owners.is_some();
        let mut names = match config.owners {
            Some(names) => names,
            None => files::find_owners(directory)?,
        };
        // A source tree of the microblog needs no configuration file, even with further services.
        let services = embedded::services();
        let is_microblog = services
            .iter()
            .all(|service| names.iter().any(|name| name == service));
        if is_microblog && !is_listed {
            // The compiled-in order, then any further owners.
            let position = |name: &String| services.iter().position(|service| service == name);
            names.sort_by_key(|name| position(name).unwrap_or(services.len()));
        }
        let owners = names.iter().map(|name| {
            let inside = |file| file_of(directory, name, file);
            let schema = inside(SCHEMA);
            if is_listed && schema.symlink_metadata().is_err() {
                return Err(Error::MissingOwner {
                    config: resolve(directory, Path::new(CONFIG)).display().to_string(),
                    owner: name.clone(),
                    schema,
                });
            }
            Owner::new(
                name,
                files::text(&schema)?,
                files::texts(&inside(MIGRATIONS), migrations::is_script)?,
                files::texts(&inside(RECORDED), is_record)?,
                None,
            )
        });
        let within = |path: &Path| DatabaseUrl::from_path(resolve(directory, path));
        let (application, database) = if is_microblog {
            (Application::MICROBLOG, microblog_database())
        } else {
            (Application::PROJECT, within(Path::new(DEFAULT_DATABASE)))
        };
        Ok(Self {
            owners: owners.collect::<Result<_, _>>()?,
            application: config.application_id.unwrap_or(application),
            database: config
                .database
                .map_or(database, |DatabaseUrl::Sqlite(path)| within(&path)),
        })
    }

    /// Returns the database of the project, unless a setting names another one.
    #[must_use]
    pub fn database(&self) -> &DatabaseUrl {
        &self.database
    }

    /// Returns the migrations of all owners.
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
        released: Option<&str>,
    ) -> Result<Self, Error> {
        Ok(Self {
            name: name.to_owned(),
            schema,
            migrations,
            recorded: parse_recorded(name, recorded)?,
            released: match released {
                Some(text) => parse_released(name, text)?,
                None => ReleaseRecord::default(),
            },
        })
    }
}

/// Returns the default database of the microblog, relative to the working directory.
fn microblog_database() -> DatabaseUrl {
    DatabaseUrl::from_path("data/microblog.db")
}

/// Returns the path of a file of an owner.
fn file_of(project: &Path, owner: &str, file: &str) -> PathBuf {
    resolve(project, Path::new(&paths::of_owner(owner, file)))
}

/// Returns a path inside a project, without the prefix `./`.
fn resolve(project: &Path, path: &Path) -> PathBuf {
    if project == Path::new(".") {
        path.to_owned()
    } else {
        project.join(path)
    }
}

fn parse_released(owner: &str, text: &str) -> Result<ReleaseRecord, Error> {
    serde_json::from_str(text).map_err(|source| Error::Malformed {
        file: paths::of_owner(owner, RELEASED),
        remedy: "`migrator release` writes it",
        source,
    })
}

/// Reports whether sqlx recorded a statement in a file of this name.
fn is_record(name: &str) -> bool {
    let hash = name.strip_prefix("query-");
    hash.and_then(|hash| hash.strip_suffix(".json")).is_some()
}

/// Parses the statements that sqlx recorded for an owner. Leaves out those of another engine.
fn parse_recorded(owner: &str, files: Vec<TextFile>) -> Result<Vec<RecordedStatement>, Error> {
    /// The needed fields of such a file.
    #[derive(Deserialize)]
    struct Record {
        db_name: Option<String>,
        query: String,
    }

    let mut recorded = Vec::new();
    for TextFile { name, text } in files.into_iter().filter(|file| is_record(&file.name)) {
        let file = paths::of_owner(owner, &format!("{RECORDED}/{name}"));
        match serde_json::from_str::<Record>(&text) {
            Ok(Record { db_name, query })
                if db_name.as_deref().is_none_or(|name| name == ENGINE) =>
            {
                let before = text.find("\"query\"").unwrap_or_default();
                recorded.push(RecordedStatement {
                    file,
                    line: text[..before].matches('\n').count() + 1,
                    query,
                });
            }
            Ok(_) => {}
            Err(source) => {
                return Err(Error::Malformed {
                    file,
                    remedy: "`cargo sqlx prepare` writes it, or `bash .ci/prepare` in the microblog",
                    source,
                });
            }
        }
    }
    Ok(recorded)
}
