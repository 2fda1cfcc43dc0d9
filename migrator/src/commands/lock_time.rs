//! How long migrations would hold the write lock of a database, tried on a copy of it
//! (M006). SQL stands here.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::Serialize;
use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use crate::{
    lint::{Code, Error, Failure, Finding, Step, execute, said},
    project::migrations::Migrations,
    sql::{self, Position},
    sqlite::history::{self, Identity},
};

/// How long migrations take on a copy of a database.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measured {
    /// Those that are pending, in order.
    pub(crate) scripts: Vec<Timing>,
    /// From BEGIN to the end of COMMIT, in seconds: while the write lock is held.
    pub(crate) locked_secs: f64,
    /// Those that take too long.
    pub(crate) findings: Vec<Finding>,
}

/// How long one script takes.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Timing {
    /// As the repository has it.
    pub(crate) file: String,
    pub(crate) secs: f64,
}

/// A copy of a database, which goes when this does.
#[derive(Debug)]
struct Copy(PathBuf);

impl Drop for Copy {
    fn drop(&mut self) {
        for end in ["", "-wal", "-shm", "-journal"] {
            let mut path = self.0.clone().into_os_string();
            path.push(end);
            if let Err(error) = fs::remove_file(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(%error, file = %path.display(), "a copy was left behind");
            }
        }
    }
}

/// Runs the pending migrations on a copy of a database, which is made in `folder` or
/// beside the database and is removed in any case, and reports those that hold the write
/// lock for longer than `limit`: a run is one transaction, so together they hold it for
/// the sum of all.
///
/// The database itself is only read, and may be in use.
///
/// # Errors
///
/// [`Error`]: above all, that there is no room for the copy, or that a script fails.
pub(crate) async fn measure(
    database: &Path,
    folder: Option<&Path>,
    migrations: &Migrations,
    limit: Duration,
) -> Result<Measured, Error> {
    let copy = copy(database, folder).await?;
    let mut connection = SqliteConnectOptions::new()
        .filename(&copy.0)
        .create_if_missing(false)
        .foreign_keys(false)
        // As in a run.
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging()
        .connect()
        .await?;
    let result = run(&mut connection, database, migrations).await;
    connection.close().await?;
    let (scripts, locked) = result?;
    Ok(Measured {
        findings: findings(&scripts, locked, limit),
        scripts: scripts
            .into_iter()
            .map(|(file, elapsed)| Timing {
                file,
                secs: elapsed.as_secs_f64(),
            })
            .collect(),
        locked_secs: locked.as_secs_f64(),
    })
}

async fn copy(database: &Path, folder: Option<&Path>) -> Result<Copy, Error> {
    let mut source = SqliteConnectOptions::new()
        .filename(database)
        .create_if_missing(false)
        .disable_statement_logging()
        .connect()
        .await?;
    let result = copy_from(&mut source, database, folder).await;
    source.close().await?;
    result
}

async fn copy_from(
    source: &mut SqliteConnection,
    database: &Path,
    folder: Option<&Path>,
) -> Result<Copy, Error> {
    let beside = database.parent().unwrap_or(Path::new("."));
    let mut name = database.file_name().unwrap_or_default().to_owned();
    name.push(format!(".measure-{}", std::process::id()));
    let path = folder.unwrap_or(beside).join(name);
    // SQLite takes an empty file, and this one is readable by its owner only.
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(|source| Error::Copy {
            copy: path.clone(),
            source,
        })?;
    let copy = Copy(path);
    sqlx::query("vacuum into ?1")
        .bind(copy.0.to_string_lossy())
        .execute(source)
        .await
        .map_err(|error| Error::Copy {
            copy: copy.0.clone(),
            source: io::Error::other(error),
        })?;
    Ok(copy)
}

/// Runs what is pending: how long each script takes, and how long the lock is held.
async fn run(
    connection: &mut SqliteConnection,
    database: &Path,
    migrations: &Migrations,
) -> Result<(Vec<(String, Duration)>, Duration), Error> {
    let view = history::view(connection).await?;
    if let Identity::Foreign(_) = view.identity {
        return Err(Error::Foreign {
            database: database.to_owned(),
        });
    }
    let began = Instant::now();
    execute(connection, "begin immediate").await?;
    let mut scripts = Vec::new();
    for migration in migrations {
        if view
            .applied
            .iter()
            .any(|applied| applied.number == migration.number())
        {
            continue;
        }
        let step = Step::new(migration, false);
        let began = Instant::now();
        for statement in &step.up.statements {
            let done = execute(connection, statement.text).await;
            done.map_err(|error| {
                Error::Refused(Failure {
                    file: step.up.file.clone(),
                    place: sql::position(step.up.text, statement.offset),
                    message: said(&error),
                })
            })?;
        }
        scripts.push((step.up.file, began.elapsed()));
    }
    execute(connection, "commit").await?;
    Ok((scripts, began.elapsed()))
}

fn findings(scripts: &[(String, Duration)], locked: Duration, limit: Duration) -> Vec<Finding> {
    if locked <= limit {
        return Vec::new();
    }
    let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
    let longest = scripts.iter().map(|(_, elapsed)| *elapsed).max();
    // If none is too long by itself, the longest stands for all.
    let from = longest.unwrap_or_default().min(limit);
    let slow = scripts.iter().filter(|(_, elapsed)| *elapsed >= from);
    let finding = |(file, elapsed): &(String, Duration)| {
        Finding::new(
            Code::Slow,
            file,
            Position { line: 1, column: 1 },
            format!(
                "it takes {} on a copy, and the run holds the write lock for {}; services wait {}",
                seconds(*elapsed),
                seconds(locked),
                seconds(limit)
            ),
            "upgrade while the services are stopped, or have them wait longer".into(),
        )
    };
    slow.map(finding).collect()
}
