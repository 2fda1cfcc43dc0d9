//! Taking a backup: a copy under the lock, and then the proof that it is one.
//!
//! The copy is exact because somebody holds the write lock while it is made: the caller,
//! or this module on a connection of its own. The proof needs no lock: the connection that
//! copied goes on seeing the state that was copied, whatever is written meanwhile.

use std::{fs, path::Path, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};
use database::sqlite::{APPLICATION_ID, OnlineBackup, OnlineBackupError};
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

/// Between two looks at how long the copy is by now.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// A copy that nobody has compared yet. Dropped, it leaves nothing.
#[derive(Debug)]
pub struct UnverifiedBackup {
    backups: Backups,
    partial: PartialBackup,
    /// In a read transaction that began while the lock was held.
    source: SqliteConnection,
    why: String,
    time: DateTime<Utc>,
}

/// A copy of a database beside it, on which an upgrade can be tried. Dropped, it leaves
/// nothing.
#[derive(Debug)]
pub(crate) struct TrialCopy {
    backups: Backups,
    partial: PartialBackup,
}

impl TrialCopy {
    pub(crate) fn path(&self) -> &Path {
        self.partial.path()
    }

    /// Returns backups of the copy: each is made where one of the database would be, and
    /// is removed as soon as it was compared.
    pub(crate) fn backups(&self) -> Backups {
        let folder = &self.backups.folder;
        let beside = files::parent_dir(&self.backups.database);
        Backups {
            database: self.path().to_owned(),
            // A folder that is not there is not made for it.
            folder: if folder.is_dir() { folder } else { beside }.to_owned(),
            discard: true,
            ..self.backups.clone()
        }
    }
}

/// Copies the database, of which the caller holds the write lock.
pub(super) async fn copy_locked(
    backups: &Backups,
    file: Option<&Path>,
    why: &str,
    progress: &Progress,
) -> Result<UnverifiedBackup, Error> {
    let time = Utc::now();
    let mut source = open(&backups.database).await?;
    let unreadable = |error| read_error(&backups.database, error);
    let version = history::version(&mut source).await.map_err(unreadable)?;
    let size = summary::size(&mut source).await.map_err(unreadable)?;
    let partial = reserve(backups, file, time, version)?;
    files::check_room(partial.target(), size.compacted_bytes())?;

    vacuum(&mut source, &partial, size.compacted_bytes(), progress)
        .await
        .map_err(|error| copy_error(&backups.database, partial.target(), error))?;
    // Nobody but the holder of the lock can have written since, and what it has written
    // is not committed.
    summary::begin_reading(&mut source)
        .await
        .map_err(unreadable)?;
    Ok(UnverifiedBackup {
        backups: backups.clone(),
        partial,
        source,
        why: why.to_owned(),
        time,
    })
}

/// Takes the write lock, copies the database and gives the lock up.
pub(super) async fn lock_and_copy(
    backups: &Backups,
    file: Option<&Path>,
    why: &str,
    lock_timeout: Duration,
    progress: &Progress,
) -> Result<UnverifiedBackup, Error> {
    let database = &backups.database;
    reject_missing(database)?;
    let of_session = |error| match error {
        DatabaseError::Failed(error) => read_error(database, error),
        error => error.into(),
    };
    let mut holder = Session::open(database, LockBackoff::new(lock_timeout))
        .await
        .map_err(of_session)?;
    let taken = match holder.begin().await {
        Ok(()) => match reject_foreign(holder.connection(), database).await {
            Ok(()) => copy_locked(backups, file, why, progress).await,
            Err(error) => Err(error),
        },
        Err(error) => Err(of_session(error)),
    };
    // It has changed nothing.
    holder.rollback().await;
    holder.close().await;
    taken
}

impl UnverifiedBackup {
    /// Compares the copy with what it was made of, writes its record and gives it its
    /// name; then the oldest backups beyond those that are kept go. Others may write
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error`]; then there is no backup.
    pub async fn verify(mut self, progress: &Progress) -> Result<Backup, Error> {
        let work = progress.begin("verifying the backup", 0);
        let manifest = self.compare().await;
        // It holds back the write-ahead log.
        let Self {
            backups,
            partial,
            source,
            ..
        } = self;
        session::close(source).await;
        let backup = match manifest {
            Ok(manifest) => publish(backups.clone(), partial, manifest).await,
            Err(error) => Err(error),
        };
        let backup = backups.prune_after(backup)?;
        work.end();
        Ok(backup)
    }

    /// Gives up being a backup: the copy may be changed. `backups` are those of the database.
    pub(super) async fn into_trial(self, backups: &Backups) -> TrialCopy {
        // It holds back the write-ahead log.
        session::close(self.source).await;
        TrialCopy {
            backups: backups.clone(),
            partial: self.partial,
        }
    }

    async fn compare(&mut self) -> Result<Manifest, Error> {
        let database = &self.backups.database;
        let source = &mut self.source;
        let unreadable = |error| read_error(database, error);
        let expected = summary::read(source).await.map_err(unreadable)?;
        let sqlite = summary::sqlite_version(source).await.map_err(unreadable)?;
        // SQLite lets go of the log as soon as it may.
        session::execute(source, "rollback")
            .await
            .map_err(unreadable)?;

        let found = self
            .summarize_copy()
            .await
            .map_err(|error| Error::Differs {
                file: self.partial.target().to_owned(),
                what: error.to_string(),
            })?;
        let differs = |what| Error::Differs {
            file: self.partial.target().to_owned(),
            what,
        };
        match found {
            Ok(found) => match expected.difference(&found) {
                Some(what) => Err(differs(what)),
                None => Ok(
                    preliminary_manifest(database, self.why.clone(), self.time, sqlite)
                        .with_summary(found),
                ),
            },
            Err(what) => Err(differs(what)),
        }
    }

    /// What the copy says of itself, or what is damaged in it.
    async fn summarize_copy(&self) -> Result<Result<summary::Summary, String>, sqlx::Error> {
        let mut copy = summary::open_partial(self.partial.path()).await?;
        let found = match summary::find_damage(&mut copy).await? {
            Some(what) => Err(what),
            None => Ok(summary::read(&mut copy).await?),
        };
        session::close(copy).await;
        Ok(found)
    }
}

/// Copies a damaged database page by page, without a look at what is on the pages: what
/// cannot be backed up can perhaps be recovered. The caller holds the write lock.
pub(super) async fn copy_damaged(
    backups: &Backups,
    why: &str,
    progress: &Progress,
) -> Result<Backup, Error> {
    let time = Utc::now();
    let mut source = open(&backups.database).await?;
    let version = history::version(&mut source).await.unwrap_or_default();
    let sqlite = summary::sqlite_version(&mut source).await?;
    session::close(source).await;
    let partial = reserve(backups, None, time, version)?;
    let failed = |error: OnlineBackupError| write_error(partial.target(), error);

    let mut copy = OnlineBackup::open(partial.path(), &backups.database).map_err(failed)?;
    copy.lock().map_err(failed)?;
    let total = copy.pages().total;
    let work = progress.begin("copying the damaged database", total);
    copy = super::copy_pages(copy, work).await?.map_err(failed)?;
    drop(copy.finish().map_err(failed)?);

    let preliminary_manifest =
        preliminary_manifest(&backups.database, why.to_owned(), time, sqlite);
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

fn reserve(
    backups: &Backups,
    file: Option<&Path>,
    time: DateTime<Utc>,
    version: i64,
) -> Result<PartialBackup, Error> {
    if let Some(file) = file {
        return PartialBackup::at(file);
    }
    files::create_dir(&backups.folder)?;
    PartialBackup::in_folder(&backups.folder, &backups.stem, time, version)
}

/// Copies, and tells meanwhile how far that is.
async fn vacuum(
    source: &mut SqliteConnection,
    partial: &PartialBackup,
    total: u64,
    progress: &Progress,
) -> Result<(), sqlx::Error> {
    // Absolute, so that it cannot be taken for a URL.
    let path = std::path::absolute(partial.path())?;
    let path = path.to_str().ok_or_else(|| {
        sqlx::Error::Configuration("the name of the backup is no Unicode text".into())
    })?;
    let work = progress.begin("copying the database", total);
    let mut copying = Box::pin(summary::vacuum_into(source, path));
    let mut looks = interval(PROGRESS_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            biased;
            result = &mut copying => {
                result?;
                work.end();
                return Ok(());
            }
            _ = looks.tick() => {
                if let Ok(file) = fs::metadata(partial.path()) {
                    work.advance(file.len());
                }
            }
        }
    }
}

/// A record of what is known without a look at the file.
fn preliminary_manifest(
    database: &Path,
    why: String,
    time: DateTime<Utc>,
    sqlite: String,
) -> Manifest {
    Manifest {
        when: time.to_rfc3339_opts(SecondsFormat::Millis, true),
        why,
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

/// Has a copy and its record on the disk under their names, and removes old backups.
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
            pruned: backups.prune(),
        })
    };
    blocking(write).await?
}

/// Does what waits for the disk where it stops nobody else.
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

/// A connection to the database.
async fn open(database: &Path) -> Result<SqliteConnection, Error> {
    reject_missing(database)?;
    summary::open(database)
        .await
        .map_err(|error| read_error(database, error))
}

async fn reject_foreign(connection: &mut SqliteConnection, database: &Path) -> Result<(), Error> {
    let id = history::application_id(connection)
        .await
        .map_err(|error| read_error(database, error))?;
    if id == APPLICATION_ID {
        return Ok(());
    }
    Err(Error::foreign_id(database, id))
}
