//! Restores a backup: copies its pages into the database while the services use it.
//!
//! A restore is one transaction of the database, begun under the write lock. The previous content
//! is backed up under the same lock, so no write is lost in between, and a killed process leaves
//! the old data. The database file is never moved or replaced.

use std::{path::Path, time::Duration};

use database::sqlite::{CommittedBackup, FairLock, FileIdentity, OnlineBackup, OnlineBackupError};
use sqlx::SqliteConnection;

use super::{
    Backup, Backups, RestoreReport,
    copy::{self, UnverifiedBackup, blocking},
    copy_pages,
    error::{Error, backup_file_error, restore_error, write_error},
    files,
    manifest::{Manifest, length_and_sha256},
    source,
    summary::{self, DatabaseSize, Summary},
};
use crate::{
    report::progress::Progress,
    sqlite::{
        history,
        lock_backoff::LockBackoff,
        orphans::Orphans,
        result_code::ResultCode,
        session::{close, create_file, reject_leftover_log},
    },
    state::{application::Application, error::DatabaseError},
};

/// The reason in the manifest of the backup of the previous content.
const PRE_RESTORE: &str = "before restore";

/// A backup that may be restored.
struct VerifiedBackup {
    summary: Summary,
    size: DatabaseSize,
}

/// The state of the database before the restore.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PreRestoreState {
    /// It has no tables.
    Empty,
    /// It belongs to this system.
    Ours,
    /// It belongs to this system, but its schema cannot be read.
    Damaged,
}

/// Replaces the content of the database with that of `file`.
pub(super) async fn restore(
    backups: &Backups,
    file: &Path,
    known: &[i64],
    lock_timeout: Duration,
    progress: &Progress,
) -> Result<RestoreReport, Error> {
    let database = &backups.database;
    let source = &source::find(backups, file)?;
    let checked = verify_backup(backups.application, source, known, progress).await?;
    let version = checked.summary.version;
    let mut reader = prepare(backups, source, checked.size.page).await?;

    let failed = |error: OnlineBackupError| restore_error(database, error);
    let identity = FileIdentity::of(database).map_err(|error| restore_error(database, error))?;
    let mut pages = OnlineBackup::open(database, source).map_err(failed)?;
    lock(&mut pages, database, lock_timeout).await?;
    let before = read_pre_restore_state(&mut reader, backups).await?;
    let (pages, pre_restore) =
        back_up_and_copy(backups, pages, before, checked.size, progress).await?;
    let mut verifier = summary::open(database)
        .await
        .map_err(|error| restore_error(database, error))?;
    let copied = blocking(|| pages.finish()).await?.map_err(failed)?;
    identity.check(database).map_err(DatabaseError::from)?;

    let task = progress.start("verifying the database", 0);
    let (compared, emptied) = tokio::join!(
        compare_restored(&mut verifier, copied, &checked.summary),
        // A log as large as the database would slow down the next commit.
        summary::checkpoint(&mut reader)
    );
    if let Err(error) = emptied {
        tracing::warn!(%error, "write-ahead log was not checkpointed");
    }
    close(reader).await;
    close(verifier).await;
    let compared = compared.map_err(|what| Error::NotAsWritten {
        database: database.as_path().into(),
        what,
    })?;
    task.finish();
    Ok(RestoreReport {
        database: database.as_path().into(),
        file: file.to_owned(),
        version,
        pre_restore,
        compared,
    })
}

/// Rejects a file that is damaged, not a backup, or of an unknown version.
async fn verify_backup(
    application: Application,
    file: &Path,
    known: &[i64],
    progress: &Progress,
) -> Result<VerifiedBackup, Error> {
    let task = progress.start("checking the backup", 0);
    if let Some(manifest) = Manifest::read(file)? {
        compare_with_manifest(file, &manifest).await?;
    }
    let checked = read_backup(application, file)
        .await
        .map_err(|error| backup_file_error(file, application, error))??;
    reject_unknown_version(file, checked.summary.version, known)?;
    task.finish();
    Ok(checked)
}

async fn compare_with_manifest(file: &Path, manifest: &Manifest) -> Result<(), Error> {
    let path = file.to_owned();
    let (bytes, sha256) = blocking(move || length_and_sha256(&path))
        .await?
        .map_err(|source| Error::Inaccessible {
            file: file.to_owned(),
            source: source.into(),
        })?;
    let what = if bytes != manifest.bytes {
        format!(
            "it has {bytes} bytes, and by its manifest {}",
            manifest.bytes
        )
    } else if sha256 == manifest.sha256 {
        return Ok(());
    } else {
        "its SHA-256 differs from that in its manifest".into()
    };
    Err(Error::Corrupt {
        file: file.to_owned(),
        what,
    })
}

async fn read_backup(
    application: Application,
    file: &Path,
) -> Result<Result<VerifiedBackup, Error>, sqlx::Error> {
    let mut backup = summary::open_backup(file).await?;
    let corrupt = |what| {
        Err(Error::Corrupt {
            file: file.to_owned(),
            what,
        })
    };
    let id = history::application_id(&mut backup).await?;
    if id != application.id() {
        let why = format!("its application id is {id:#010x}");
        return Ok(Err(Error::not_a_backup(file, application, &why)));
    }
    if let Some(what) = summary::find_damage(&mut backup).await? {
        return Ok(corrupt(what));
    }
    if let Some((table, parent)) = Orphans::read(&mut backup).await?.first() {
        return Ok(corrupt(format!(
            "a row of {table} refers to a missing row of {parent}"
        )));
    }
    let summary = summary::read(&mut backup).await?;
    let size = summary::size(&mut backup).await?;
    close(backup).await;
    Ok(Ok(VerifiedBackup { summary, size }))
}

fn reject_unknown_version(file: &Path, found: i64, known: &[i64]) -> Result<(), Error> {
    let newest = known.iter().copied().max().unwrap_or(0);
    let file = file.to_owned();
    match found {
        0 => Ok(()),
        found if known.contains(&found) => Ok(()),
        found if found > newest => Err(Error::Newer {
            file,
            found,
            newest,
        }),
        found => Err(Error::UnknownVersion { file, found }),
    }
}

/// Creates the database if it is missing, and checks that it has the backup's page size.
async fn prepare(backups: &Backups, file: &Path, page: i64) -> Result<SqliteConnection, Error> {
    let database = backups.database.as_path();
    if !database.exists() {
        reject_leftover_log(database)?;
        create_file(database).map_err(|error| write_error(database, error))?;
    }
    let failed = |error: sqlx::Error| restore_error(database, error);
    let mut reader = summary::open(database).await.map_err(failed)?;
    // A foreign database keeps even its journal mode.
    read_pre_restore_state(&mut reader, backups).await?;
    let mode = summary::set_page_size_and_wal(&mut reader, page)
        .await
        .map_err(failed)?;
    if mode != "wal" {
        return Err(Error::Database(DatabaseError::NoWriteAheadLog {
            database: database.into(),
            mode,
        }));
    }
    let expected = summary::size(&mut reader).await.map_err(failed)?.page;
    if expected == page {
        return Ok(reader);
    }
    close(reader).await;
    Err(Error::PageSize {
        file: file.to_owned(),
        found: page,
        expected,
    })
}

/// Returns the state of the database, and rejects a foreign one.
async fn read_pre_restore_state(
    reader: &mut SqliteConnection,
    backups: &Backups,
) -> Result<PreRestoreState, Error> {
    let (database, ours) = (&backups.database, backups.application.id());
    let failed = |error: sqlx::Error| restore_error(database, error);
    let id = history::application_id(reader).await.map_err(failed)?;
    match (id, summary::count_objects(reader).await) {
        (id, Ok(_)) if id == ours => Ok(PreRestoreState::Ours),
        (0, Ok(0)) => Ok(PreRestoreState::Empty),
        (0, Ok(_)) => Err(Error::foreign(
            backups,
            "it has tables that no migrator made",
        )),
        (id, Ok(_)) => Err(Error::foreign_id(backups, id)),
        (id, Err(error)) if id == ours && ResultCode::from(&error) == ResultCode::Corrupt => {
            Ok(PreRestoreState::Damaged)
        }
        (_, Err(error)) => Err(failed(error)),
    }
}

/// Takes the write lock.
async fn lock(
    pages: &mut OnlineBackup,
    database: &Path,
    lock_timeout: Duration,
) -> Result<(), Error> {
    let wait = LockBackoff::new(lock_timeout);
    let mut fair_lock = FairLock::new(database);
    let mut attempts = wait.attempts(&mut fair_lock);
    loop {
        attempts.next().await?;
        match pages.lock() {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) => return Err(restore_error(database, error)),
        }
    }
}

/// Backs up the current content, and copies all but the last page of the backup. The two copies
/// run one after the other, since each is as fast as the disk. The verification runs beside
/// the second.
async fn back_up_and_copy(
    backups: &Backups,
    pages: OnlineBackup,
    before: PreRestoreState,
    size: DatabaseSize,
    progress: &Progress,
) -> Result<(OnlineBackup, Option<Backup>), Error> {
    let database = &backups.database;
    let taken = match before {
        PreRestoreState::Ours => {
            match copy::copy_locked(backups, None, PRE_RESTORE, progress).await {
                Err(Error::Damaged { .. }) => None,
                taken => Some(taken?),
            }
        }
        PreRestoreState::Empty | PreRestoreState::Damaged => None,
    };
    files::check_free_space(database, size.wal_bytes())?;
    let task = progress.start("restoring", pages.progress().total);
    let (verified, pages) = tokio::join!(
        verify_pre_restore_backup(taken, progress),
        copy_pages(pages, task)
    );
    let pages = pages?.map_err(|error| restore_error(database, error))?;
    let pre_restore = match verified? {
        None if before != PreRestoreState::Empty => {
            // It cannot be backed up, so its pages are copied as they are.
            let reason = format!("{PRE_RESTORE}, damaged");
            Some(copy::copy_damaged(backups, &reason, progress).await?)
        }
        pre_restore => pre_restore,
    };
    Ok((pages, pre_restore))
}

/// Verifies the backup of the previous content, or returns `None` if its source is damaged.
async fn verify_pre_restore_backup(
    taken: Option<UnverifiedBackup>,
    progress: &Progress,
) -> Result<Option<Backup>, Error> {
    let Some(taken) = taken else { return Ok(None) };
    match taken.verify(progress).await {
        Err(Error::Damaged { .. } | Error::Differs { .. }) => Ok(None),
        backup => backup.map(Some),
    }
}

/// Compares the database with the restored backup. Returns `false` if another process wrote right
/// after the commit: then only the damage counts.
async fn compare_restored(
    verifier: &mut SqliteConnection,
    copied: CommittedBackup,
    expected: &Summary,
) -> Result<bool, String> {
    let failed = |error: sqlx::Error| error.to_string();
    summary::begin_reading(verifier).await.map_err(failed)?;
    // If the commit is the latest after the snapshot was taken, the snapshot is that commit.
    let unchanged_since_commit = copied
        .unchanged_since_commit()
        .map_err(|error| error.to_string())?;
    let found = summary::verify(verifier).await?;
    if !unchanged_since_commit {
        return Ok(false);
    }
    expected.difference(&found).map_or(Ok(true), Err)
}
