//! The programs of the system as processes: started in a folder of their own, listened
//! to, and ended at the latest when the value is dropped that stands for them.

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

/// Longer than anything takes that goes well.
const PATIENCE: Duration = Duration::from_secs(30);

/// What `future` gives, which must not take long.
pub async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("it takes longer than {PATIENCE:?}"))
}

/// A folder of its own, with the path of a database that is not there yet.
#[derive(Debug)]
pub struct Place(TempDir);

impl Place {
    /// An empty one.
    pub fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// One with a database of the newest version.
    pub async fn migrated() -> Self {
        let place = Self::new();
        place
            .migrator()
            .run(migrator::Run::upgrade())
            .await
            .unwrap();
        place
    }

    /// The folder.
    pub fn folder(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    /// The database file.
    pub fn database(&self) -> PathBuf {
        self.0.path().join("microblog.db")
    }

    /// What migrates the database.
    pub fn migrator(&self) -> Migrator {
        Migrator::new(&DatabaseUrl::from_path(self.database()), PATIENCE).unwrap()
    }

    /// A connection as no program of the system has it: it may do everything. Makes the
    /// file if it is not there.
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

    /// The first column of what a query yields, which is to be text.
    pub async fn query(&self, query: &str) -> Vec<String> {
        let mut connection = self.connection().await;
        let rows = sqlx::query_scalar(AssertSqlSafe(query))
            .fetch_all(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        rows
    }

    /// A program that will run in the folder, on the database, and sees nothing of this
    /// process's environment. A service takes any free port, and its log is JSON.
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

/// What a process left behind.
#[derive(Debug)]
pub struct Run {
    /// The exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The lines of its standard output.
    pub stdout: Vec<String>,
    /// The lines of its standard error.
    pub stderr: Vec<String>,
}

impl Run {
    /// Asserts that the process refused to do what it was asked for: with this code, and
    /// in one line that has each of `texts`. It is the last of a log in JSON on standard
    /// output, or the only one on standard error.
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

/// A process that runs, and is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

/// The lines that came so far. Closed when there will be no more.
type Lines = watch::Receiver<Vec<String>>;

impl Process {
    /// Starts it.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        Self {
            stdout: listen_to(child.stdout.take().unwrap()),
            stderr: listen_to(child.stderr.take().unwrap()),
            child,
        }
    }

    /// The first line on standard output that has `text`, as soon as it is there.
    pub async fn says(&mut self, text: &str) -> String {
        let has = |line: &&String| line.contains(text);
        let found = {
            let said = soon(
                self.stdout
                    .wait_for(|lines| lines.iter().any(|line| has(&line))),
            );
            said.await
                .ok()
                .and_then(|lines| lines.iter().find(has).cloned())
        };
        found.unwrap_or_else(|| panic!("it ended and never said `{text}`: {self:?}"))
    }

    /// The lines on standard output so far.
    pub fn said(&self) -> Vec<String> {
        self.stdout.borrow().clone()
    }

    /// Where a service listens, as soon as it says `message`.
    pub async fn address_when(&mut self, message: &str) -> SocketAddr {
        let line = self.says(&format!(r#""message":"{message}""#)).await;
        let (_, rest) = line.split_once(r#""address":""#).unwrap();
        rest.split('"').next().unwrap().parse().unwrap()
    }

    /// Where a service serves, as soon as it does.
    pub async fn serving(&mut self) -> SocketAddr {
        self.address_when("serving").await
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// Waits until it ends by itself.
    pub async fn end(mut self) -> Run {
        let silent = async {
            while self.stdout.changed().await.is_ok() {}
            while self.stderr.changed().await.is_ok() {}
        };
        let silent = tokio::time::timeout(PATIENCE, silent).await;
        assert!(silent.is_ok(), "it does not end: {self:?}");
        Run {
            code: self.child.wait().unwrap().code(),
            stdout: self.stdout.borrow().clone(),
            stderr: self.stderr.borrow().clone(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process.
pub fn signal(process: u32, name: &str) {
    // The shell's own `kill`: not every machine has a program of that name.
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

/// Gathers lines in a thread of its own, so that the process is never kept waiting.
fn listen_to(pipe: impl Read + Send + 'static) -> Lines {
    let (sender, lines) = watch::channel(Vec::new());
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n') {
            let line = String::from_utf8_lossy(&line.unwrap()).into_owned();
            sender.send_modify(|lines| lines.push(line));
        }
    });
    lines
}

/// A connection to a service, made when it is needed.
pub fn connect(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect_lazy()
}
