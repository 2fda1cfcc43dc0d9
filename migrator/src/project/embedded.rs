//! The compiled-in files of the services.

use include_dir::{Dir, include_dir};

use super::{Owner, Project, TextFile, error::Error, migrations::Migrations};
use crate::{project::migrations::InvalidMigrations, state::application::Application};

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
static SERVICES: [EmbeddedService; 2] = [
    EmbeddedService {
        name: "user-service",
        schema: include_str!("../../../user-service/schema.sql"),
        released: include_str!("../../../user-service/released.json"),
        migrations: include_dir!("$CARGO_MANIFEST_DIR/../user-service/migrations"),
        recorded: include_dir!("$CARGO_MANIFEST_DIR/../user-service/.sqlx"),
    },
    EmbeddedService {
        name: "post-service",
        schema: include_str!("../../../post-service/schema.sql"),
        released: include_str!("../../../post-service/released.json"),
        migrations: include_dir!("$CARGO_MANIFEST_DIR/../post-service/migrations"),
        recorded: include_dir!("$CARGO_MANIFEST_DIR/../post-service/.sqlx"),
    },
];

/// Returns the names of the services in the order of their first migrations.
pub(super) fn services() -> [&'static str; 2] {
    SERVICES.each_ref().map(|service| service.name)
}

impl Project {
    /// Returns the compiled-in files.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`], which a test prevents in a release.
    pub fn embedded() -> Result<Self, Error> {
        let files = |folder: &'static Dir<'static>| {
            let files = texts(folder).map(|(name, text)| TextFile {
                name: name.to_owned(),
                text: text.to_owned(),
            });
            files.collect()
        };
        let owners = SERVICES.iter().map(|service| {
            Owner::new(
                service.name,
                service.schema.to_owned(),
                files(&service.migrations),
                files(&service.recorded),
                Some(service.released),
            )
        });
        Ok(Self {
            owners: owners.collect::<Result<_, _>>()?,
            application: Application::MICROBLOG,
            database: super::microblog_database(),
        })
    }

    /// Returns the compiled-in migrations, without parsing the other files.
    ///
    /// # Errors
    ///
    /// [`InvalidMigrations`], which a test prevents in a release.
    pub fn embedded_migrations() -> Result<Migrations, InvalidMigrations> {
        let files = SERVICES.iter().flat_map(|service| {
            let files = texts(&service.migrations);
            files.map(|(name, text)| (service.name, name, text))
        });
        Migrations::from_files(files)
    }
}

/// Returns the names and texts of a compiled-in folder.
fn texts(folder: &'static Dir<'static>) -> impl Iterator<Item = (&'static str, &'static str)> {
    let files = folder.files();
    files.filter_map(|file| Some((file.path().to_str()?, file.contents_utf8()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::migrations::Migration;

    #[test]
    fn compiled_in_migrations_are_valid() {
        let migrations = Project::embedded_migrations().unwrap();

        let numbers: Vec<_> = migrations.iter().map(Migration::number).collect();
        let sequence: Vec<_> = (1..=migrations.newest()).collect();
        assert_eq!(numbers, sequence, "the numbers have gaps");
        assert_eq!(migrations.get(1).unwrap().owner(), "user-service");
        assert_eq!(migrations.get(2).unwrap().owner(), "post-service");
    }
}
