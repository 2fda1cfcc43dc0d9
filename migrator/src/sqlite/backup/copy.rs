//! Making a backup: a copy under the write lock, and then its verification.
//!
//! The copy is exact because the write lock is held while it is made, by the caller or by this
//! module on its own connection. The verification needs no lock: the connection that copied
//! keeps its read snapshot, so later writes do not matter.

use std::{fs, path::Path, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};
use database::sqlite::{OnlineBackup, OnlineBackupError};
use sqlx::SqliteConnection;
use tokio::time::{MissedTickBehavior, interval};

use super::{
    Backup, Backups,
    error::{Error, copy_error, read_error, write_error},
    files::{self, PartialBackup},
    manifest::{Manifest, length_and_sha256},
    summary,
};
use crate::{
    report::progress::Progress,
    sqlite::{
        history,
        lock_backoff::LockBackoff,
        session::{self, Session},
    },
    state::error::DatabaseError,
};

/// The interval at which the length of the copy is reported.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// A copy that is not verified yet. Dropping it removes the file.
#[derive(Debug)]
pub struct UnverifiedBackup {
    backups: Backups,
    partial: PartialBackup,
    /// Holds a read transaction that began under the write lock.
    source: SqliteConnection,
    reason: String,
    time: DateTime<Utc>,
}

/// A copy of a database beside it, on which an upgrade can be tried. Dropping it removes the
/// file.
#[derive(Debug)]
pub(crate) struct TrialCopy {
    backups: Backups,
    partial: PartialBackup,
}

impl TrialCopy {
    pub(crate) fn path(&self) -> &Path {
        self.partial.path()
    }

    /// Returns the backups of the copy. Each is made where a backup of the database would be, and
    /// is removed once it is verified.
    pub(crate) fn backups(&self) -> Backups {
        let folder = &self.backups.folder;
        let beside = files::parent_dir(&self.backups.database);
        Backups {
            database: self.path().to_owned(),
            // A missing directory is not created for the trial.
            folder: if folder.is_dir() { folder } else { beside }.to_owned(),
            discard: true,
            ..self.backups.clone()
        }
    }
}

/// Copies the database while the caller holds its write lock. `reserved` is the name that the
/// caller asked for; otherwise the copy gets one in the directory.
pub(super) async fn copy_locked(
    backups: &Backups,
    reserved: Option<PartialBackup>,
    reason: &str,
    progress: &Progress,
) -> Result<UnverifiedBackup, Error> {
    let time = Utc::now();
    let mut source = open(backups).await?;
    let unreadable = |error| read_error(backups, error);
    let version = history::version(&mut source).await.map_err(unreadable)?;
    let size = summary::size(&mut source).await.map_err(unreadable)?;
    let partial = match reserved {
        Some(partial) => partial,
        None => reserve(backups, time, version)?,
    };
    files::check_free_space(partial.target(), size.compacted_bytes())?;

    vacuum(&mut source, &partial, size.compacted_bytes(), progress)
        .await
        .map_err(|error| copy_error(backups, partial.target(), error))?;
    // This snapshot equals the copy: only the holder of the lock can have written, and has
    // not committed.
    summary::begin_reading(&mut source)
        .await
        .map_err(unreadable)?;
    Ok(UnverifiedBackup {
        backups: backups.clone(),
        partial,
        source,
        reason: reason.to_owned(),
        time,
    })
}

/// Takes the write lock, copies the database and releases the lock.
pub(super) async fn lock_and_copy(
    backups: &Backups,
    file: Option<&Path>,
    reason: &str,
    lock_timeout: Duration,
    progress: &Progress,
) -> Result<UnverifiedBackup, Error> {
    let database = &backups.database;
    reject_missing(database)?;
    // The leftover of a killed process is removed before the services wait for the lock.
    let reserved = file.map(PartialBackup::at).transpose()?;
    let of_session = |error| match error {
        DatabaseError::Failed(error) => read_error(backups, error),
        error => error.into(),
    };
    let mut holder = Session::open(
        database,
        backups.application,
        LockBackoff::new(lock_timeout),
    )
    .await
    .map_err(of_session)?;
    let taken = match holder.begin().await {
        Ok(()) => match reject_foreign(holder.connection(), backups).await {
            Ok(()) => copy_locked(backups, reserved, reason, progress).await,
            Err(error) => Err(error),
        },
        Err(error) => Err(of_session(error)),
    };
    // It changed nothing.
    holder.rollback().await;
    holder.close().await;
    taken
}

impl UnverifiedBackup {
    /// Compares the copy with its source, writes the manifest and gives the backup its name. Other
    /// processes may write during this. Prunes nothing: the caller may hold the write lock.
    ///
    /// # Errors
    ///
    /// [`Error`]; no file is left behind.
    pub async fn verify(mut self, progress: &Progress) -> Result<Backup, Error> {
        let task = progress.start("verifying the backup", 0);
        let manifest = self.compare().await;
        // The read transaction keeps the write-ahead log from being checkpointed.
        let Self {
            backups,
            partial,
            source,
            ..
        } = self;
        session::close(source).await;
        let backup = publish(backups, partial, manifest?).await?;
        task.finish();
        Ok(backup)
    }

    /// Turns the copy into one that may be changed. `backups` are the backups of the database.
    pub(super) async fn into_trial(self, backups: &Backups) -> TrialCopy {
        // The read transaction keeps the write-ahead log from being checkpointed.
        session::close(self.source).await;
        TrialCopy {
            backups: backups.clone(),
            partial: self.partial,
        }
    }

    async fn compare(&mut self) -> Result<Manifest, Error> {
        let backups = &self.backups;
        let source = &mut self.source;
        let unreadable = |error| read_error(backups, error);
        let expected = summary::read(source).await.map_err(unreadable)?;
        let sqlite = summary::sqlite_version(source).await.map_err(unreadable)?;
        // The snapshot must not hold up the checkpoint longer than needed.
        session::execute(source, "rollback")
            .await
            .map_err(unreadable)?;

        let differs = |what| Error::Differs {
            file: self.partial.target().to_owned(),
            what,
        };
        let mut copy = summary::open_partial(self.partial.path())
            .await
            .map_err(|error| differs(error.to_string()))?;
        let found = summary::verify(&mut copy).await.map_err(differs)?;
        session::close(copy).await;
        if let Some(what) = expected.difference(&found) {
            return Err(differs(what));
        }
        let manifest =
            preliminary_manifest(&backups.database, self.reason.clone(), self.time, sqlite);
        Ok(manifest.with_summary(found))
    }
}

/// Copies a damaged database page by page, without reading the pages: its data may still be
/// recoverable by hand. The caller holds the write lock.
pub(super) async fn copy_damaged(
    backups: &Backups,
    reason: &str,
    progress: &Progress,
) -> Result<Backup, Error> {
    let time = Utc::now();
    let mut source = open(backups).await?;
    let version = history::version(&mut source).await.unwrap_or_default();
    let sqlite = summary::sqlite_version(&mut source).await?;
    session::close(source).await;
    let partial = reserve(backups, time, version)?;
    let failed = |error: OnlineBackupError| write_error(partial.target(), error);

    let mut copy = OnlineBackup::open(partial.path(), &backups.database).map_err(failed)?;
    copy.lock().map_err(failed)?;
    let total = copy.progress().total;
    let task = progress.start("copying the damaged database", total);
    copy = super::copy_pages(copy, task).await?.map_err(failed)?;
    drop(copy.finish().map_err(failed)?);

    let preliminary_manifest =
        preliminary_manifest(&backups.database, reason.to_owned(), time, sqlite);
    publish(
        backups.clone(),
        partial,
        Manifest {
            version,
            ..preliminary_manifest
        },
    )
    .await
}

/// Asks for the room that a trial takes, before its copy is made: for the copy, for the
/// write-ahead log of an upgrade that writes each page, and for a backup of the copy.
pub(super) async fn check_trial_space(backups: &Backups) -> Result<(), Error> {
    let database = &backups.database;
    let mut source = open(backups).await?;
    let size = summary::size(&mut source).await;
    session::close(source).await;
    let size = size.map_err(|error| read_error(backups, error))?;
    let copy = size.compacted_bytes();
    let backup = if files::is_same_disk(&backups.folder, files::parent_dir(database)) {
        copy
    } else {
        files::check_free_space(&backups.folder.join("a copy"), copy)?;
        0
    };
    files::check_free_space(database, copy + size.wal_bytes() + backup)
}

fn reserve(backups: &Backups, time: DateTime<Utc>, version: i64) -> Result<PartialBackup, Error> {
    files::create_dir(&backups.folder)?;
    PartialBackup::in_folder(&backups.folder, &backups.stem, time, version)
}

/// Copies the database into the partial file and reports the progress.
async fn vacuum(
    source: &mut SqliteConnection,
    partial: &PartialBackup,
    total: u64,
    progress: &Progress,
) -> Result<(), sqlx::Error> {
    // SQLite would take a relative path with a colon for a URI.
    let path = std::path::absolute(partial.path())?;
    let path = path.to_str().ok_or_else(|| {
        sqlx::Error::Configuration("the name of the backup is not valid Unicode".into())
    })?;
    let task = progress.start("copying the database", total);
    let mut copying = Box::pin(summary::vacuum_into(source, path));
    let mut ticks = interval(PROGRESS_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            biased;
            result = &mut copying => {
                result?;
                task.finish();
                return Ok(());
            }
            _ = ticks.tick() => {
                if let Ok(file) = fs::metadata(partial.path()) {
                    task.advance(file.len());
                }
            }
        }
    }
}

/// Returns the manifest without what only the finished file can tell.
fn preliminary_manifest(
    database: &Path,
    reason: String,
    time: DateTime<Utc>,
    sqlite: String,
) -> Manifest {
    Manifest {
        when: time.to_rfc3339_opts(SecondsFormat::Millis, true),
        why: reason,
        database: database.display().to_string(),
        version: 0,
        bytes: 0,
        sha256: String::new(),
        verified: false,
        schema: String::new(),
        rows: std::collections::BTreeMap::new(),
        sqlite,
    }
}

/// Syncs a copy, and publishes it with its manifest.
async fn publish(
    backups: Backups,
    partial: PartialBackup,
    preliminary_manifest: Manifest,
) -> Result<Backup, Error> {
    let write = move || {
        partial.sync()?;
        let (bytes, sha256) = length_and_sha256(partial.path())
            .map_err(|error| write_error(partial.target(), error))?;
        let manifest = Manifest {
            bytes,
            sha256,
            ..preliminary_manifest
        };
        let path = if backups.discard {
            partial.target().to_owned()
        } else {
            partial.publish(&manifest.to_json())?
        };
        Ok(Backup {
            path,
            manifest,
            pruned: Vec::new(),
        })
    };
    blocking(write).await?
}

/// Runs blocking disk work off the async runtime's threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::Aborted(error.into()))
}

fn reject_missing(database: &Path) -> Result<(), Error> {
    if database.exists() {
        return Ok(());
    }
    Err(Error::Database(DatabaseError::NotFound {
        database: database.into(),
    }))
}

/// Opens a connection to the database.
async fn open(backups: &Backups) -> Result<SqliteConnection, Error> {
    reject_missing(&backups.database)?;
    summary::open(&backups.database)
        .await
        .map_err(|error| read_error(backups, error))
}

async fn reject_foreign(connection: &mut SqliteConnection, backups: &Backups) -> Result<(), Error> {
    let id = history::application_id(connection)
        .await
        .map_err(|error| read_error(backups, error))?;
    if id == backups.application.id() {
        return Ok(());
    }
    Err(Error::foreign_id(backups, id))
}
