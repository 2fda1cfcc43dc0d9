//! Backups of the database, and restoring from them.
//!
//! A backup is exact: it is copied while the write lock is held, and compared with the database
//! before it gets its name. The submodules have one subject each: `copy` makes a backup,
//! `restore` restores one, `summary` holds the SQL, `files`, `name` and `retention` handle the
//! directory, and `manifest` the JSON beside a backup.

mod copy;
pub(crate) mod error;
mod files;
mod list;
mod manifest;
mod name;
mod restore;
mod retention;
mod source;
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
    state::{application::Application, database_name::DatabaseName},
};

/// The number of pages that a restore copies at a time: some milliseconds of work.
const PAGES_PER_STEP: u32 = 1_000;

/// The number of backups that are kept by default.
pub const DEFAULT_KEEP: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4);

/// The backups of one database.
#[derive(Clone, Debug)]
pub struct Backups {
    database: PathBuf,
    application: Application,
    folder: PathBuf,
    /// The first part of each backup's name.
    stem: String,
    keep: NonZeroUsize,
    /// The backup that is being restored, which is not pruned.
    protected: Option<PathBuf>,
    /// True if each backup is discarded once it is verified: the database is a [`TrialCopy`].
    discard: bool,
}

/// A finished backup.
#[derive(Clone, Debug, Serialize)]
pub struct Backup {
    /// The file.
    pub path: PathBuf,
    /// The manifest beside it.
    #[serde(rename = "record")]
    pub manifest: Manifest,
    /// The older backups that were pruned afterwards.
    pub pruned: Vec<PathBuf>,
}

/// The result of a restore.
#[derive(Clone, Debug, Serialize)]
pub struct RestoreReport {
    /// The name of the database.
    pub database: DatabaseName,
    /// The backup that was restored.
    pub file: PathBuf,
    /// The schema version of the database now.
    pub version: i64,
    /// The backup of the previous content; `None` if the database was empty.
    #[serde(rename = "rescue")]
    pub pre_restore: Option<Backup>,
    /// True if the rows and the schema were compared with the backup afterwards. They are not
    /// compared if another process writes right after the commit; the file is checked for
    /// damage even then.
    pub compared: bool,
}

impl fmt::Display for Backup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Manifest { version, bytes, .. } = &self.manifest;
        let path = self.path.display();
        write!(f, "Backed up version {version}, {bytes} bytes, to {path}")
    }
}

impl fmt::Display for RestoreReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(backup) = &self.pre_restore {
            writeln!(f, "{backup}")?;
        }
        let (database, file) = (&self.database, self.file.display());
        writeln!(f, "Restored {database} from {file}")?;
        if !self.compared {
            writeln!(
                f,
                "Not compared with the backup: another process wrote right away"
            )?;
        }
        writeln!(f, "Current database version: {}", self.version)
    }
}

impl Backups {
    /// Returns the backups of a database in `folder`, by default the directory `backups` beside
    /// the database. The newest `keep` are kept.
    #[must_use]
    pub fn new(database: PathBuf, folder: Option<PathBuf>, keep: NonZeroUsize) -> Self {
        let folder = folder.unwrap_or_else(|| files::parent_dir(&database).join("backups"));
        let stem = database.file_stem().unwrap_or_default();
        Self {
            stem: stem.to_string_lossy().into_owned(),
            database,
            application: Application::MICROBLOG,
            folder,
            keep,
            protected: None,
            discard: false,
        }
    }

    /// Sets the application whose database this is, by default the microblog.
    pub(crate) fn with_application(self, application: Application) -> Self {
        Self {
            application,
            ..self
        }
    }

    /// Copies the database while the caller holds its write lock on another connection. The copy
    /// leaves out the caller's uncommitted writes. The caller must hold the lock until this
    /// returns, and has checked that the database belongs to this system.
    ///
    /// # Errors
    ///
    /// [`Error`]; no file is left behind.
    pub async fn copy_locked(
        &self,
        reason: &str,
        progress: &Progress,
    ) -> Result<UnverifiedBackup, Error> {
        copy::copy_locked(self, None, reason, progress).await
    }

    /// Makes a backup in the directory, or as `file`, which is never pruned. Writers wait while
    /// the copy is made, but not while it is verified.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Locked`](crate::DatabaseError::Locked) if the write lock is not free
    /// within `lock_timeout`, or another [`Error`]; no file is left behind.
    pub async fn back_up(
        &self,
        file: Option<&Path>,
        reason: &str,
        lock_timeout: Duration,
        progress: &Progress,
    ) -> Result<Backup, Error> {
        self.remove_leftovers();
        let retention = self.retention();
        let made = match copy::lock_and_copy(self, file, reason, lock_timeout, progress).await {
            Ok(taken) => taken.verify(progress).await,
            Err(error) => Err(error),
        };
        // After a failure too: repeated failures must not fill the disk.
        let pruned = retention.prune();
        made.map(|backup| Backup { pruned, ..backup })
    }

    /// Copies the database to a file beside it, on which an upgrade can be tried. Writers wait
    /// while the copy is made.
    ///
    /// # Errors
    ///
    /// The errors of [`Backups::back_up`]; no file is left behind.
    pub(crate) async fn trial_copy(
        &self,
        lock_timeout: Duration,
        progress: &Progress,
    ) -> Result<TrialCopy, Error> {
        let beside = Self {
            folder: files::parent_dir(&self.database).to_owned(),
            ..self.clone()
        };
        copy::check_trial_space(self).await?;
        let taken = copy::lock_and_copy(&beside, None, "to try it", lock_timeout, progress).await?;
        Ok(taken.into_trial(self).await)
    }

    /// Returns the backups of the directory, newest first. A missing directory has none.
    ///
    /// # Errors
    ///
    /// [`Error::Folder`] if the directory cannot be read.
    pub fn list(&self) -> Result<Listing, Error> {
        list::list(self)
    }

    /// Replaces the content of the database with that of a backup, in one transaction while the
    /// services run. Readers see the old data until it commits, and writers wait. The current
    /// content is backed up first. A missing database is created.
    ///
    /// `known` are the numbers of the migrations of this program.
    ///
    /// # Errors
    ///
    /// [`Error`]; the database is unchanged except after [`Error::NotAsWritten`].
    pub async fn restore(
        &self,
        file: &Path,
        known: &[i64],
        lock_timeout: Duration,
        progress: &Progress,
    ) -> Result<RestoreReport, Error> {
        let backups = Self {
            protected: Some(file.to_owned()),
            ..self.clone()
        };
        self.remove_leftovers();
        let retention = backups.retention();
        let restored = restore::restore(&backups, file, known, lock_timeout, progress).await;
        let pruned = retention.prune();
        let mut restored = restored?;
        if let Some(backup) = &mut restored.pre_restore {
            backup.pruned = pruned;
        }
        Ok(restored)
    }

    /// Removes the leftovers of killed processes: partial backups, and copies on which an upgrade
    /// was tried. The caller does not hold the write lock, for which the services would wait.
    pub(crate) fn remove_leftovers(&self) {
        if self.discard {
            return;
        }
        for folder in [self.folder.as_path(), files::parent_dir(&self.database)] {
            retention::remove_leftovers(folder, &self.stem);
        }
    }

    /// Returns the retention of a run that makes its backup from now on.
    pub(crate) fn retention(&self) -> Retention {
        // A backup of a trial is discarded, and prunes none of the database.
        let found = if self.discard {
            Vec::new()
        } else {
            retention::backups(&self.folder, &self.stem).unwrap_or_default()
        };
        Retention {
            found,
            backups: self.clone(),
        }
    }
}

/// The retention of one run: it prunes only backups that were there before. A backup of the run
/// itself, or of a run beside it, is never among them.
#[derive(Debug)]
pub(crate) struct Retention {
    backups: Backups,
    found: Vec<PathBuf>,
}

impl Retention {
    /// Prunes if a backup was made since. A run without a backup removes none.
    pub(crate) fn prune_after_backup(self) -> Vec<PathBuf> {
        let Backups { folder, stem, .. } = &self.backups;
        let now = retention::backups(folder, stem).unwrap_or_default();
        if now.iter().all(|backup| self.found.contains(backup)) {
            return Vec::new();
        }
        self.prune()
    }

    /// Removes the backups beyond `keep`. The caller has released the write lock.
    pub(crate) fn prune(self) -> Vec<PathBuf> {
        let Backups {
            folder,
            stem,
            keep,
            protected,
            ..
        } = &self.backups;
        retention::prune(folder, stem, keep.get(), &self.found, protected.as_deref())
    }
}

/// Copies all pages except the last, and reports the progress.
async fn copy_pages(
    mut pages: OnlineBackup,
    task: Task,
) -> Result<Result<OnlineBackup, OnlineBackupError>, Error> {
    let copy = move || {
        while !pages.is_ready() {
            task.advance(pages.copy(PAGES_PER_STEP)?.copied);
        }
        task.finish();
        Ok(pages)
    };
    copy::blocking(copy).await
}
