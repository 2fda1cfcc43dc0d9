//! Any project: the program in a directory of its user, without the services of the microblog.

mod config;
mod errors;
mod files;
mod identity;
mod owners;
mod tutorial;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{ProgramOutput, TestDir};

const NOTES: &str = "create table notes (id integer primary key, body text not null) strict;\n";
const TAGS: &str = "create table tags (id integer primary key, name text not null) strict;\n";

/// A directory with the project `notes` in it, and without settings in the environment.
struct Project(TestDir);

impl Project {
    /// Returns a project with these files.
    fn with(files: &[(&str, &str)]) -> Self {
        let project = Self(TestDir::new());
        fs::create_dir(project.path("")).unwrap();
        for (file, text) in files {
            project.write(file, text);
        }
        project
    }

    /// Returns the path of a file in the project.
    fn path(&self, file: &str) -> PathBuf {
        self.0.0.path().join("notes").join(file)
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap()
    }

    /// Returns the sorted names in a directory of the project; none if it is missing.
    fn names(&self, directory: &str) -> Vec<String> {
        crate::commands::names(&self.path(directory))
    }

    /// Returns the program in the directory above the project.
    fn program(&self, arguments: &[&str]) -> Command {
        let mut command = self.0.program(arguments);
        command
            .env_remove("DATABASE_URL")
            .current_dir(self.0.0.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> ProgramOutput {
        let mut command = self.program(arguments);
        command.args(["--project", "notes"]);
        command.output().unwrap().into()
    }

    /// Runs a command that must succeed without output on stderr.
    #[track_caller]
    fn done(&self, arguments: &[&str]) -> String {
        let run = self.run(arguments);
        assert_eq!(run.code, 0, "{arguments:?}: {run:?}");
        assert_eq!(run.stderr, "", "{arguments:?}");
        run.stdout
    }

    /// Runs a command that must fail with this code and one line.
    #[track_caller]
    fn refused(&self, arguments: &[&str], code: i32) -> String {
        let run = self.run(arguments);
        run.assert_refused(code);
        run.stderr
    }

    /// Executes a script on a database, as the application would.
    fn execute(&self, database: &str, script: &str) {
        sqlite(&self.path(database), script);
    }
}

/// Executes a script on a database, which is created if it is missing.
fn sqlite(database: &Path, script: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(database)
            .create_if_missing(true);
        let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
        crate::execute(&mut connection, script).await;
        sqlx::Connection::close(connection).await.unwrap();
    });
}
