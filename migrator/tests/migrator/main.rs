//! Black-box tests of the migrator: the program, and the library with test migrations.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

mod backups;
mod baseline;
mod checksums;
mod commands;
mod concurrency;
mod data_loss;
mod errors;
mod exits;
mod inspect;
mod ownership;
mod program;
mod projects;
mod runs;
mod schema;
mod signals;
mod statements;
mod volume;

use std::{
    path::PathBuf,
    process::{Command, Output, Stdio},
    time::Duration,
};

use database::settings::DatabaseUrl;
use migrator::{Migrations, Migrator};
use sqlx::{AssertSqlSafe, ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

/// The lock timeout of tests that expect no long lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// A temporary folder with the path of a database that does not exist yet.
struct TestDir(TempDir);

/// The result of a run of the program.
#[derive(Debug)]
struct ProgramOutput {
    code: i32,
    /// Without the trailing line break.
    stdout: String,
    /// Without the trailing line break.
    stderr: String,
}

impl ProgramOutput {
    fn last_line(&self) -> &str {
        self.stdout.lines().last().unwrap_or("")
    }
}

impl From<Output> for ProgramOutput {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap().trim_end().to_owned();
        Self {
            code: output.status.code().unwrap(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

impl TestDir {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("microblog.db")
    }

    /// Returns the program, with an empty environment except `DATABASE_URL`.
    fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_migrator"));
        command
            .env_clear()
            .env("DATABASE_URL", format!("sqlite:{}", self.path().display()))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> ProgramOutput {
        self.program(arguments).output().unwrap().into()
    }

    /// Returns the library with the services' migrations.
    fn migrator(&self) -> Migrator {
        Migrator::new(&DatabaseUrl::from_path(self.path()), LOCK_TIMEOUT).unwrap()
    }

    /// Returns the library with these migrations.
    fn migrator_with(&self, migrations: Migrations) -> Migrator {
        Migrator::with_migrations(
            &DatabaseUrl::from_path(self.path()),
            LOCK_TIMEOUT,
            migrations,
        )
    }

    /// Opens a connection like another program, with enforced foreign keys. Creates a missing
    /// file.
    async fn connect(&self) -> SqliteConnection {
        SqliteConnectOptions::new()
            .filename(self.path())
            .create_if_missing(true)
            .connect()
            .await
            .unwrap()
    }

    /// Executes a script.
    async fn execute(&self, script: &str) {
        let mut connection = self.connect().await;
        execute(&mut connection, script).await;
        sqlx::Connection::close(connection).await.unwrap();
    }

    /// Returns the first column of a query, as text.
    async fn query(&self, query: &str) -> Vec<String> {
        let mut connection = self.connect().await;
        let rows = query_texts(&mut connection, query).await;
        sqlx::Connection::close(connection).await.unwrap();
        rows
    }
}

async fn execute(connection: &mut SqliteConnection, script: &str) {
    sqlx::raw_sql(AssertSqlSafe(script))
        .execute(connection)
        .await
        .unwrap();
}

async fn query_texts(connection: &mut SqliteConnection, query: &str) -> Vec<String> {
    sqlx::query_scalar(AssertSqlSafe(query))
        .fetch_all(connection)
        .await
        .unwrap()
}

/// Builds migrations with the numbers 1, 2, …, each from its up and its down script.
fn migrations(scripts: &[(&str, &str)]) -> Migrations {
    let scripts: Vec<_> = scripts
        .iter()
        .map(|(up, down)| ("test", *up, *down))
        .collect();
    owned_migrations(&scripts)
}

/// Builds migrations with owners, see [`migrations`].
fn owned_migrations(scripts: &[(&str, &str, &str)]) -> Migrations {
    let names: Vec<_> = (1..=scripts.len())
        .map(|n| {
            [
                format!("{n:04}_step.up.sql"),
                format!("{n:04}_step.down.sql"),
            ]
        })
        .collect();
    let files =
        names
            .iter()
            .zip(scripts)
            .flat_map(|([up, down], (owner, up_script, down_script))| {
                [
                    (*owner, up.as_str(), *up_script),
                    (*owner, down.as_str(), *down_script),
                ]
            });
    Migrations::from_files(files).unwrap()
}
