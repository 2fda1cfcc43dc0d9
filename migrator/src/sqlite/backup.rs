//! Backups of the database, and the way back from one.
//!
//! A backup is exact: it is made while the write lock is held, and compared with the
//! database before it gets its name. The modules below have one subject each: `files` how
//! one appears, `folder` how many there are, `facts` the SQL, `record` the JSON beside a
//! backup, `copy` and `restore` the two ways.

mod copy;
pub(crate) mod error;
mod files;
mod list;
mod manifest;
mod restore;
mod retention;
mod summary;

use std::{
    fmt,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use database::sqlite::{OnlineBackup, OnlineBackupError};
use serde::Serialize;

pub(crate) use self::copy::TrialCopy;
pub use self::{
    copy::UnverifiedBackup,
    error::Error,
    list::{BackupState, ListedBackup, Listing},
    manifest::Manifest,
};
use crate::{
    report::progress::{Progress, Task},
    state::database_name::DatabaseName,
};

/// How many pages are copied at a time when a backup is restored: some milliseconds' work.
const PAGES_PER_STEP: u32 = 1_000;

/// How many backups are kept unless somebody says otherwise.
pub const DEFAULT_KEEP: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4);

/// The backups of one database.
#[derive(Clone, Debug)]
pub struct Backups {
    database: PathBuf,
    folder: PathBuf,
    /// The first part of their names.
    stem: String,
    keep: NonZeroUsize,
    /// One that is not removed now, old as it may be: it is being restored.
    protected: Option<PathBuf>,
    /// Whether each is removed as soon as it was compared: the database is a [`TrialCopy`].
    discard: bool,
}

/// A backup that is known to be one.
#[derive(Clone, Debug, Serialize)]
pub struct Backup {
    /// Where it is.
    pub path: PathBuf,
    /// What stands beside it.
    #[serde(rename = "record")]
    pub manifest: Manifest,
    /// The older backups that were removed afterwards.
    pub pruned: Vec<PathBuf>,
}

/// What was restored.
#[derive(Clone, Debug, Serialize)]
pub struct Restored {
    /// Its name.
    pub database: DatabaseName,
    /// The backup whose content it has now.
    pub file: PathBuf,
    /// The version that it is at now.
    pub version: i64,
    /// The copy of what was in it before; `None` if there was nothing.
    #[serde(rename = "rescue")]
    pub pre_restore: Option<Backup>,
    /// Whether the rows and the schema were compared with the backup afterwards. They
    /// cannot be when somebody writes in the instant after the commit; the file was checked
    /// all the same.
    pub compared: bool,
}

impl fmt::Display for Backup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Manifest { version, bytes, .. } = &self.manifest;
        let path = self.path.display();
        write!(f, "Backed up version {version}, {bytes} bytes, to {path}")
    }
}

impl fmt::Display for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(backup) = &self.pre_restore {
            writeln!(f, "{backup}")?;
        }
        let (database, file) = (&self.database, self.file.display());
        writeln!(f, "Restored {database} from {file}")?;
        if !self.compared {
            writeln!(f, "It was not compared: somebody wrote at once")?;
        }
        writeln!(f, "Current database version: {}", self.version)
    }
}

impl Backups {
    /// The backups of a database in a folder, or in `backups` beside the database. The
    /// newest `keep` are kept.
    #[must_use]
    pub fn new(database: PathBuf, folder: Option<PathBuf>, keep: NonZeroUsize) -> Self {
        let folder = folder.unwrap_or_else(|| files::parent_dir(&database).join("backups"));
        let stem = database.file_stem().unwrap_or_default();
        Self {
            stem: stem.to_string_lossy().into_owned(),
            database,
            folder,
            keep,
            protected: None,
            discard: false,
        }
    }

    /// Where they are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Copies the database, of which the caller holds the write lock on a connection of its
    /// own; what it has written and not committed is not in the copy. The lock must be held
    /// until this returns, and no longer; the database must be this system's.
    ///
    /// # Errors
    ///
    /// [`Error`]; nothing is left then.
    pub async fn copy_locked(
        &self,
        why: &str,
        progress: &Progress,
    ) -> Result<UnverifiedBackup, Error> {
        let taken = copy::copy_locked(self, None, why, progress).await;
        self.prune_after(taken)
    }

    /// Makes a backup, in the folder or as a file of its own; the latter is never removed
    /// for its age. Writers wait while the copy is made, and not while it is compared.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Locked`](crate::DatabaseError::Locked) if the write lock is not free for `lock_timeout`, and what else
    /// [`Error`] says; nothing is left then.
    pub async fn back_up(
        &self,
        file: Option<&Path>,
        why: &str,
        lock_timeout: Duration,
        progress: &Progress,
    ) -> Result<Backup, Error> {
        let taken = copy::lock_and_copy(self, file, why, lock_timeout, progress).await;
        self.prune_after(taken)?.verify(progress).await
    }

    /// Copies the database to a file beside it, on which an upgrade can be tried. Writers
    /// wait while the copy is made.
    ///
    /// # Errors
    ///
    /// Those of [`Backups::back_up`]; nothing is left then.
    pub(crate) async fn trial_copy(
        &self,
        lock_timeout: Duration,
        progress: &Progress,
    ) -> Result<TrialCopy, Error> {
        let beside = Self {
            folder: files::parent_dir(&self.database).to_owned(),
            ..self.clone()
        };
        for folder in [&self.folder, &beside.folder] {
            retention::remove_leftovers(folder, &self.stem);
        }
        let taken = copy::lock_and_copy(&beside, None, "to try it", lock_timeout, progress).await?;
        Ok(taken.into_trial(self).await)
    }

    /// What there is in the folder, the newest first.
    ///
    /// # Errors
    ///
    /// [`Error::Folder`] if it cannot be read; a folder that is missing has none in it.
    pub fn list(&self) -> Result<Listing, Error> {
        list::list(self)
    }

    /// Replaces what is in the database by what is in a backup, while services use it:
    /// those who read see the old state until all of it is there, and those who write wait.
    /// What was there is backed up first. A missing database is made.
    ///
    /// `known` are the numbers of the migrations that this program has.
    ///
    /// # Errors
    ///
    /// [`Error`]; unless it is [`Error::NotAsWritten`], the database is as it was.
    pub async fn restore(
        &self,
        file: &Path,
        known: &[i64],
        lock_timeout: Duration,
        progress: &Progress,
    ) -> Result<Restored, Error> {
        let backups = Self {
            protected: Some(file.to_owned()),
            ..self.clone()
        };
        let restored = restore::restore(&backups, file, known, lock_timeout, progress).await;
        backups.prune_after(restored)
    }

    /// Removes what is beyond those that are kept, and what killed processes left; says
    /// which backups those were.
    fn prune(&self) -> Vec<PathBuf> {
        if self.discard {
            return Vec::new();
        }
        retention::remove_leftovers(files::parent_dir(&self.database), &self.stem);
        let protected = self.protected.as_deref();
        retention::prune(&self.folder, &self.stem, self.keep.get(), protected)
    }

    /// Failures come in rows, and must not fill the disk.
    fn prune_after<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        if result.is_err() {
            self.prune();
        }
        result
    }
}

/// Copies all but the last page, and tells how far that is.
async fn copy_pages(
    mut pages: OnlineBackup,
    work: Task,
) -> Result<Result<OnlineBackup, OnlineBackupError>, Error> {
    let copy = move || {
        while !pages.is_ready() {
            work.advance(pages.copy(PAGES_PER_STEP)?.done);
        }
        work.end();
        Ok(pages)
    };
    copy::blocking(copy).await
}
