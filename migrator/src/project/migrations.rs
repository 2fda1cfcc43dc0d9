//! Migrations: numbered pairs of an up and a down script, each with an owner. Knows the
//! names of the files, but neither a database nor the meaning of a script.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use sha2::{Digest, Sha256, Sha384};

use super::paths;
use crate::sql;

/// A change of the schema as an up and a down script.
#[derive(Clone, Debug)]
pub struct Migration {
    number: i64,
    name: String,
    owner: String,
    up: String,
    down: String,
}

impl Migration {
    /// Returns the position in the sequence, from 1.
    #[must_use]
    pub fn number(&self) -> i64 {
        self.number
    }

    /// Returns the name: words joined by `_`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the owner whose tables the migration changes.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Returns the up or the down script.
    #[must_use]
    pub fn script(&self, direction: Direction) -> &str {
        match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        }
    }

    /// Returns the SHA-384 of the up script. It reveals changes after the migration was applied.
    /// sqlx's own tools expect this hash in the history.
    #[must_use]
    pub fn checksum(&self) -> Vec<u8> {
        Sha384::digest(self.up.as_bytes()).to_vec()
    }

    /// Returns the SHA-256 of a script's tokens, which ignores comments, letter case and
    /// whitespace.
    #[must_use]
    pub fn token_hash(&self, direction: Direction) -> Vec<u8> {
        Sha256::digest(sql::normalised(self.script(direction)).as_bytes()).to_vec()
    }

    /// Returns the path of a script in the project.
    #[must_use]
    pub fn file(&self, direction: Direction) -> String {
        let Self {
            number,
            name,
            owner,
            ..
        } = self;
        path(owner, &format!("{number:04}_{name}{}", direction.suffix()))
    }
}

/// The direction in which a migration is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The migration is applied.
    Up,
    /// The migration is reverted.
    Down,
}

impl Direction {
    /// Returns the end of the file names.
    fn suffix(self) -> &'static str {
        match self {
            Self::Up => ".up.sql",
            Self::Down => ".down.sql",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "applied",
            Self::Down => "reverted",
        })
    }
}

/// All migrations in the order of their numbers, which are unique.
#[derive(Clone, Debug)]
pub struct Migrations(Vec<Migration>);

impl Migrations {
    /// Reads the migrations from files, each given by its owner, its name and its text. Ignores
    /// other files than scripts, and scripts of another engine.
    ///
    /// # Errors
    ///
    /// [`InvalidMigrations`] if a name is not of the form `0001_name.up.sql` or
    /// `0001_name.down.sql`, if one of the two is missing, or if a number is used twice.
    pub fn from_files<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>,
    ) -> Result<Self, InvalidMigrations> {
        let (migrations, missing) = Self::with_missing(files)?;
        match missing.into_iter().next() {
            None => Ok(migrations),
            Some(MissingFile { file, .. }) => Err(InvalidMigrations::Missing { file }),
        }
    }

    /// Reads the migrations from files, with an empty script for each file that is missing.
    ///
    /// # Errors
    ///
    /// [`InvalidMigrations`], except [`InvalidMigrations::Missing`].
    pub(crate) fn with_missing<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>,
    ) -> Result<(Self, Vec<MissingFile>), InvalidMigrations> {
        let mut pairs: BTreeMap<_, [Option<&str>; 2]> = BTreeMap::new();
        for (owner, file, text) in files.into_iter().filter(|(_, file, _)| is_script(file)) {
            let (number, name, direction) = parse(file).ok_or_else(|| InvalidMigrations::Name {
                file: path(owner, file),
            })?;
            pairs.entry((number, owner, name)).or_default()[direction as usize] = Some(text);
        }

        let mut migrations: Vec<Migration> = Vec::with_capacity(pairs.len());
        let mut missing = Vec::new();
        for ((number, owner, name), [up, down]) in pairs {
            let migration = Migration {
                number,
                name: name.to_owned(),
                owner: owner.to_owned(),
                up: up.unwrap_or_default().to_owned(),
                down: down.unwrap_or_default().to_owned(),
            };
            if let Some(first) = migrations.last()
                && first.number == number
            {
                return Err(InvalidMigrations::Duplicate {
                    number,
                    first: first.file(Direction::Up),
                    second: migration.file(Direction::Up),
                });
            }
            let half = |file, other| MissingFile {
                number,
                file: migration.file(file),
                other: migration.file(other),
            };
            if up.is_none() {
                missing.push(half(Direction::Up, Direction::Down));
            }
            if down.is_none() {
                missing.push(half(Direction::Down, Direction::Up));
            }
            migrations.push(migration);
        }
        Ok((Self(migrations), missing))
    }

    /// Iterates from the oldest migration to the newest.
    pub fn iter(&self) -> std::slice::Iter<'_, Migration> {
        self.0.iter()
    }

    /// Returns the migration with this number.
    #[must_use]
    pub fn get(&self, number: i64) -> Option<&Migration> {
        self.0.iter().find(|migration| migration.number == number)
    }

    /// Returns the number of the newest migration, or 0 without migrations.
    #[must_use]
    pub fn newest(&self) -> i64 {
        self.0.last().map_or(0, Migration::number)
    }
}

impl<'a> IntoIterator for &'a Migrations {
    type Item = &'a Migration;
    type IntoIter = std::slice::Iter<'a, Migration>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A file of a pair whose other file exists.
#[derive(Debug)]
pub(crate) struct MissingFile {
    pub(crate) number: i64,
    /// The path in the project.
    pub(crate) file: String,
    /// The path of the other file.
    pub(crate) other: String,
}

/// A set of files is not a valid set of migrations.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMigrations {
    /// A file whose name does not identify a migration.
    #[error("{file} is not a text file named like 0001_create_users.up.sql")]
    Name {
        /// The file.
        file: String,
    },
    /// A pair with only one file.
    #[error("{file} is missing")]
    Missing {
        /// The missing file.
        file: String,
    },
    /// Two migrations with the same number.
    #[error("number {number:04} is used by {first} and by {second}")]
    Duplicate {
        /// The number.
        number: i64,
        /// The up script of the first migration.
        first: String,
        /// The up script of the other migration.
        second: String,
    },
}

/// Other engines, by the words that the names of their scripts contain.
const OTHER_ENGINES: [&str; 11] = [
    "cockroach",
    "duckdb",
    "mariadb",
    "mssql",
    "mysql",
    "oracle",
    "pg",
    "pgsql",
    "postgres",
    "postgresql",
    "sqlserver",
];

/// Reports whether a file is a script of this engine, even if its name is not valid. Others are
/// notes, hidden files, leftovers of editors, and scripts such as `0001_create.up.postgres.sql`.
pub(crate) fn is_script(file: &str) -> bool {
    let parts: Vec<_> = file.split('.').collect();
    let Some((end, parts)) = parts.split_last() else {
        return false;
    };
    let is_hidden = file.starts_with('.');
    let is_other = parts.iter().any(|part| OTHER_ENGINES.contains(part));
    !parts.is_empty() && end.eq_ignore_ascii_case("sql") && !is_hidden && !is_other
}

/// Returns the path of a file in the project.
fn path(owner: &str, file: &str) -> String {
    paths::of_owner(owner, &format!("migrations/{file}"))
}

/// Parses a file name into number, name and direction.
fn parse(file: &str) -> Option<(i64, &str, Direction)> {
    let (stem, direction) = [Direction::Up, Direction::Down]
        .into_iter()
        .find_map(|direction| Some((file.strip_suffix(direction.suffix())?, direction)))?;
    let (digits, name) = stem.split_once('_')?;
    if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if name.is_empty() || !name.bytes().all(plain) {
        return None;
    }
    let number = digits.parse().ok().filter(|number| *number > 0)?;
    Some((number, name, direction))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_file_name_is_rejected() {
        for file in [
            "create_users.up.sql",
            "0001.up.sql",
            "0001_.up.sql",
            "1_create.up.sql",
            "00001_create.up.sql",
            "0000_create.up.sql",
            "+001_create.up.sql",
            "0001_create.sql",
            "0001_create.up.SQL",
            "0001_create.users.up.sql",
            "0001_Create users.up.sql",
        ] {
            let error = Migrations::from_files([("users", file, "")]).unwrap_err();

            let file = format!("users/migrations/{file}");
            assert_eq!(error, InvalidMigrations::Name { file });
        }
    }

    #[test]
    fn a_file_that_is_no_script_is_ignored() {
        for file in [
            "README",
            "README.md",
            ".gitkeep",
            ".#0001_create.up.sql",
            "0001_create.up.sql~",
            "0001_create.up.sql.orig",
            "0001_create.up.postgres.sql",
            "0001_create.postgres.down.sql",
            "schema.mysql.sql",
        ] {
            let migrations = Migrations::from_files([("users", file, "")]).unwrap();

            assert_eq!(migrations.newest(), 0, "{file}");
        }
    }

    #[test]
    fn a_pair_without_one_file_is_rejected() {
        for (file, missing) in [
            ("0001_create.up.sql", "0001_create.down.sql"),
            ("0001_create.down.sql", "0001_create.up.sql"),
        ] {
            let error = Migrations::from_files([("users", file, "")]).unwrap_err();

            let file = format!("users/migrations/{missing}");
            assert_eq!(error, InvalidMigrations::Missing { file });
        }
    }

    #[test]
    fn a_number_of_two_services_is_rejected() {
        let files = [
            ("users", "0001_create.up.sql", ""),
            ("users", "0001_create.down.sql", ""),
            ("posts", "0001_create.up.sql", ""),
            ("posts", "0001_create.down.sql", ""),
        ];

        let error = Migrations::from_files(files).unwrap_err();

        assert!(
            matches!(error, InvalidMigrations::Duplicate { number: 1, .. }),
            "{error}"
        );
    }

    #[test]
    fn migrations_are_ordered_by_number() {
        let files = [
            ("users", "0010_b.up.sql", ""),
            ("users", "0010_b.down.sql", ""),
            ("zoo", "0002_a.down.sql", ""),
            ("zoo", "0002_a.up.sql", ""),
        ];

        let migrations = Migrations::from_files(files).unwrap();

        let names: Vec<_> = migrations.iter().map(Migration::name).collect();
        assert_eq!(names, ["a", "b"]);
    }
}
