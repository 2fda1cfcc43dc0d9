//! The configuration file of a project: `migrator.toml`, which may be missing.

use std::{collections::BTreeSet, path::Path};

use database::settings::DatabaseUrl;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{error::Error, files, paths::ROOT, resolve};
use crate::{sql::location::SourceLocation, state::application::Application};

/// The name of the configuration file.
pub(super) const CONFIG: &str = "migrator.toml";

/// The content of the configuration file. Each key may be missing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// The directories of the owners, in the order in which their migrations are numbered.
    #[serde(default, deserialize_with = "owners")]
    pub(super) owners: Option<Vec<String>>,
    /// The database. A relative path is relative to the project.
    #[serde(default, deserialize_with = "database")]
    pub(super) database: Option<DatabaseUrl>,
    /// The application of the project's databases.
    #[serde(default, deserialize_with = "application")]
    pub(super) application_id: Option<Application>,
}

impl Config {
    /// Reads the file of a project.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] with the position of the error, and [`Error::Unreadable`].
    pub(super) fn read(project: &Path) -> Result<Self, Error> {
        let file = resolve(project, Path::new(CONFIG));
        match files::optional_text(&file)? {
            Some(text) => Self::parse(&file.display().to_string(), &text),
            None => Ok(Self::default()),
        }
    }

    fn parse(file: &str, text: &str) -> Result<Self, Error> {
        toml::from_str(text).map_err(|error: toml::de::Error| {
            let start = error.span().map_or(0, |span| span.start);
            Error::InvalidConfig {
                location: SourceLocation::new(file, text, start),
                message: error.message().trim_end().replace('\n', " "),
            }
        })
    }
}

/// Parses the list of owners.
fn owners<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let listed = Vec::<String>::deserialize(deserializer)?;
    if listed.is_empty() {
        return Err(D::Error::custom(
            "the list of owners is empty; name a directory with a schema.sql",
        ));
    }
    let mut owners = Vec::with_capacity(listed.len());
    let mut seen = BTreeSet::new();
    for directory in listed {
        let owner = owner(&directory).ok_or_else(|| {
            D::Error::custom(format!(
                "the owner `{directory}` is not a directory of the project; write a relative path \
                 without `..`, or `.` for the project itself"
            ))
        })?;
        if !seen.insert(owner.clone()) {
            return Err(D::Error::custom(format!(
                "the owner `{owner}` is listed twice"
            )));
        }
        owners.push(owner);
    }
    Ok(Some(owners))
}

/// Returns the owner of a directory inside the project, in the spelling of reports.
fn owner(directory: &str) -> Option<String> {
    use std::path::Component;

    let mut parts = Vec::new();
    for component in Path::new(directory).components() {
        match component {
            Component::CurDir => {}
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    match parts.as_slice() {
        [] if directory.is_empty() => None,
        [] => Some(ROOT.to_owned()),
        parts => Some(parts.join("/")),
    }
}

/// Parses the URL of the database.
fn database<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DatabaseUrl>, D::Error> {
    let url = String::deserialize(deserializer)?;
    let parsed = url
        .parse()
        .map_err(|why| D::Error::custom(format!("invalid database: {why}")));
    parsed.map(Some)
}

/// Parses an application id: an integer, or four ASCII letters or digits.
fn application<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Application>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Id {
        Number(i64),
        Letters(String),
    }

    let application = match Id::deserialize(deserializer) {
        Ok(Id::Number(id)) => Application::from_id(id),
        Ok(Id::Letters(letters)) if letters.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            letters
                .as_bytes()
                .try_into()
                .ok()
                .map(Application::from_letters)
        }
        Ok(Id::Letters(_)) | Err(_) => None,
    };
    application.map(Some).ok_or_else(|| {
        D::Error::custom(
            "an application id is an integer of 32 bits other than 0, or four ASCII letters or \
             digits such as \"NOTE\"",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (usize, String) {
        match Config::parse("migrator.toml", text).unwrap_err() {
            Error::InvalidConfig { location, message } => (location.line, message),
            error => panic!("{error}"),
        }
    }

    #[test]
    fn every_key_is_optional_and_normalized() {
        let none = Config::parse("", "# nothing\n").unwrap();
        let text = "owners = [\"./b/\", \"a/c\", \".\"]\ndatabase = \"sqlite:x.db\"\n\
                    application_id = \"MBLG\"";
        let all = Config::parse("", text).unwrap();
        let number = Config::parse("", "application_id = 0x4D424C47").unwrap();

        assert!(none.owners.is_none() && none.database.is_none());
        assert!(none.application_id.is_none());
        assert_eq!(all.owners.unwrap(), ["b", "a/c", "."]);
        assert_eq!(all.database, Some(DatabaseUrl::from_path("x.db")));
        assert_eq!(all.application_id, Some(Application::MICROBLOG));
        assert_eq!(number.application_id, Some(Application::MICROBLOG));
    }

    #[test]
    fn an_invalid_value_is_refused_with_its_line() {
        for (line, why) in [
            ("owner = [\"a\"]", "unknown field `owner`"),
            ("owners = []", "is empty"),
            ("owners = \"a\"", "expected a sequence"),
            ("owners = [1]", "expected a string"),
            ("owners = [\"a\", \"./a\"]", "`a` is listed twice"),
            (
                "owners = [\"../a\"]",
                "`../a` is not a directory of the project",
            ),
            (
                "owners = [\"/a\"]",
                "`/a` is not a directory of the project",
            ),
            ("owners = [\"\"]", "`` is not a directory of the project"),
            (
                "database = \"postgres://localhost\"",
                "does not start with `sqlite:`",
            ),
            ("database = 1", "expected a string"),
            ("application_id = 0", "other than 0"),
            ("application_id = 4294967296", "32 bits"),
            ("application_id = \"NOTES\"", "four ASCII letters"),
            ("application_id = \"NÖT\"", "four ASCII letters"),
            ("application_id = true", "four ASCII letters"),
            ("application_id =", "string"),
        ] {
            let (at, message) = refused(&format!("# A comment.\n{line}\n"));

            assert!(message.contains(why), "{line}: {message}");
            assert_eq!(at, 2, "{line}: {message}");
            assert!(!message.contains('\n'), "{message}");
        }
    }
}
