//! Runs the programs of the system as processes, each in a temporary directory. A process is killed
//! when its [`Process`] is dropped.

use std::{
    ffi::OsStr,
    future::Future,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use chassis::database::settings::DatabaseUrl;
use migrator::Migrator;
use serde_json::Value;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions,
};
use tempfile::TempDir;
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint};

/// Upper bound of each wait. No successful wait comes near it.
const TEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Returns the output of `future`. Panics if that takes longer than `TEST_TIMEOUT`.
pub async fn within_timeout<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(TEST_TIMEOUT, future)
        .await
        .unwrap_or_else(|_| panic!("not done within {TEST_TIMEOUT:?}"))
}

/// A temporary directory with the path of a database that may not exist yet.
#[derive(Debug)]
pub struct TestDir(TempDir);

impl TestDir {
    /// Creates an empty directory.
    pub fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// Creates a directory with a database of the newest schema version.
    pub async fn migrated() -> Self {
        let dir = Self::new();
        dir.migrator().run(migrator::Run::upgrade()).await.unwrap();
        dir
    }

    /// Returns the path of the directory.
    pub fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    /// Returns the path of the database file.
    pub fn database(&self) -> PathBuf {
        self.0.path().join("microblog.db")
    }

    /// Returns the migrator of the database.
    pub fn migrator(&self) -> Migrator {
        Migrator::new(&DatabaseUrl::from_path(self.database()), TEST_TIMEOUT).unwrap()
    }

    /// Opens a connection without the restrictions of the services. Creates a missing database
    /// file.
    pub async fn connection(&self) -> SqliteConnection {
        SqliteConnectOptions::new()
            .filename(self.database())
            .create_if_missing(true)
            .connect()
            .await
            .unwrap()
    }

    /// Runs a script in the database.
    pub async fn execute(&self, script: &str) {
        let mut connection = self.connection().await;
        execute(&mut connection, script).await;
        connection.close().await.unwrap();
    }

    /// Returns the first column of the rows of a query. The column must be text.
    pub async fn query(&self, query: &str) -> Vec<String> {
        let mut connection = self.connection().await;
        let rows = sqlx::query_scalar(AssertSqlSafe(query))
            .fetch_all(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        rows
    }

    /// Returns the command of a program that uses the directory and its database, with an empty
    /// environment otherwise. A service listens on any free port and logs JSON.
    pub fn command(&self, program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .current_dir(self.0.path())
            .env(
                "DATABASE_URL",
                format!("sqlite:{}", self.database().display()),
            )
            .env("USER_SERVICE_LISTEN", "127.0.0.1:0")
            .env("POST_SERVICE_LISTEN", "127.0.0.1:0")
            .env("LOG_FORMAT", "json")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

/// Runs a script on a connection.
pub async fn execute(connection: &mut SqliteConnection, script: &str) {
    sqlx::raw_sql(AssertSqlSafe(script))
        .execute(connection)
        .await
        .unwrap();
}

/// The result of a finished process.
#[derive(Debug)]
pub struct Run {
    /// Exit code. `None` if a signal ended the process.
    pub code: Option<i32>,
    /// Lines of standard output.
    pub stdout: Vec<String>,
    /// Lines of standard error.
    pub stderr: Vec<String>,
}

impl Run {
    /// Asserts that the process failed with this exit code and an error line that contains each of
    /// `texts`. The error is the last line of a JSON log on standard output, or the only line on
    /// standard error.
    #[track_caller]
    pub fn assert_refused(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        let line = match self.stderr.as_slice() {
            [] => {
                let last = self.stdout.last().map(String::as_str).unwrap_or_default();
                let line: Value = serde_json::from_str(last).unwrap();
                assert_eq!(
                    (&line["level"], &line["exit_code"]),
                    (&"ERROR".into(), &code.into())
                );
                line["message"].as_str().unwrap().to_owned()
            }
            [line] => line.strip_prefix("error: ").unwrap().to_owned(),
            _ => panic!("more than one line: {self:?}"),
        };
        for text in texts {
            assert!(line.contains(text), "no `{text}` in {self:?}");
        }
    }
}

/// A running process. It is killed on drop.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

/// The lines read so far. The channel closes at the end of the stream.
type Lines = watch::Receiver<Vec<String>>;

impl Process {
    /// Starts the process.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        Self {
            stdout: collect_lines(child.stdout.take().unwrap()),
            stderr: collect_lines(child.stderr.take().unwrap()),
            child,
        }
    }

    /// Waits for the first line on standard output that contains `text`, and returns it.
    pub async fn wait_for_line(&mut self, text: &str) -> String {
        let has = |line: &&String| line.contains(text);
        let found = {
            let found = within_timeout(
                self.stdout
                    .wait_for(|lines| lines.iter().any(|line| has(&line))),
            );
            found
                .await
                .ok()
                .and_then(|lines| lines.iter().find(has).cloned())
        };
        found.unwrap_or_else(|| panic!("the process ended without `{text}`: {self:?}"))
    }

    /// Returns the lines on standard output so far.
    pub fn stdout_lines(&self) -> Vec<String> {
        self.stdout.borrow().clone()
    }

    /// Waits until a service logs `message`, and returns the address of that log line.
    pub async fn address_when(&mut self, message: &str) -> SocketAddr {
        let line = self
            .wait_for_line(&format!(r#""message":"{message}""#))
            .await;
        let (_, rest) = line.split_once(r#""address":""#).unwrap();
        rest.split('"').next().unwrap().parse().unwrap()
    }

    /// Waits until a service serves, and returns its address.
    pub async fn serving(&mut self) -> SocketAddr {
        self.address_when("serving").await
    }

    /// Returns the process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// Waits until the process exits.
    pub async fn end(mut self) -> Run {
        let silent = async {
            while self.stdout.changed().await.is_ok() {}
            while self.stderr.changed().await.is_ok() {}
        };
        let silent = tokio::time::timeout(TEST_TIMEOUT, silent).await;
        assert!(silent.is_ok(), "the process does not end: {self:?}");
        Run {
            code: self.child.wait().unwrap().code(),
            stdout: self.stdout.borrow().clone(),
            stderr: self.stderr.borrow().clone(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process.
pub fn signal(process: u32, name: &str) {
    // Uses the `kill` of the shell: minimal images have no such program.
    let sent = Command::new("sh")
        .args(["-c", r#"kill -s "$0" "$1""#, name])
        .arg(process.to_string())
        .status();
    assert!(sent.unwrap().success());
}

/// Runs a program to its end.
pub async fn run(command: Command) -> Run {
    Process::start(command).end().await
}

/// Collects lines in a separate thread: otherwise a full pipe would block the process.
fn collect_lines(pipe: impl Read + Send + 'static) -> Lines {
    let (sender, lines) = watch::channel(Vec::new());
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n') {
            let line = String::from_utf8_lossy(&line.unwrap()).into_owned();
            sender.send_modify(|lines| lines.push(line));
        }
    });
    lines
}

/// Returns a channel to a service. It connects on the first call.
pub fn connect(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect_lazy()
}
