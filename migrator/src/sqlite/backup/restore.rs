//! Restoring: the pages of a backup into the database, while services use it.
//!
//! It is one transaction of the database, begun with the write lock taken: what was there
//! is kept under that lock, so no write is lost between the two, and a process that is
//! killed leaves the old state. The file itself is never moved or written over.

use std::{fs, io, path::Path, time::Duration};

use database::sqlite::{
    APPLICATION_ID, CommittedBackup, FairLock, OnlineBackup, OnlineBackupError,
};
use sqlx::SqliteConnection;

use super::{
    Backup, Backups, Restored,
    copy::{self, Taken, blocking},
    copy_pages,
    error::{Error, not_restored, not_written, unusable_backup},
    facts::{self, Facts, Size},
    files,
    manifest::{Record, fingerprint},
};
use crate::{
    report::progress::Progress,
    sqlite::{
        history,
        lock_backoff::Wait,
        orphans::Orphans,
        result_code::ResultCode,
        session::{close, make_file},
    },
    state::error::DatabaseError,
};

/// Why there is the copy of what was in the database.
const RESCUE: &str = "rescue before restore";

/// A backup that may be restored.
struct Checked {
    facts: Facts,
    size: Size,
}

/// What is in the database before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// Nothing.
    Empty,
    /// Something of this system.
    Ours,
    /// The same, but it cannot be read.
    Damaged,
}

/// Replaces what is in the database by what is in the file.
pub(super) async fn restore(
    backups: &Backups,
    file: &Path,
    known: &[i64],
    lock_timeout: Duration,
    progress: &Progress,
) -> Result<Restored, Error> {
    let database = &backups.database;
    let checked = check(database, file, known, progress).await?;
    let version = checked.facts.version;
    let mut reader = prepare(database, file, checked.size.page).await?;

    let failed = |error: OnlineBackupError| not_restored(database, error);
    let mut pages = OnlineBackup::open(database, file).map_err(failed)?;
    lock(&mut pages, database, lock_timeout).await?;
    let before = look(&mut reader, database).await?;
    let (pages, rescue) = replace(backups, pages, before, checked.size, progress).await?;
    let mut verifier = facts::open(database)
        .await
        .map_err(|error| not_restored(database, error))?;
    let copied = blocking(|| pages.finish()).await?.map_err(failed)?;

    let work = progress.begin("verifying the database", 0);
    let (compared, emptied) = tokio::join!(
        verify(&mut verifier, copied, &checked.facts),
        // A log as large as the database is nothing to leave to the next commit.
        facts::empty_log(&mut reader)
    );
    if let Err(error) = emptied {
        tracing::warn!(%error, "the write-ahead log is not emptied yet");
    }
    close(reader).await;
    close(verifier).await;
    let compared = compared.map_err(|what| Error::NotAsWritten {
        database: database.as_path().into(),
        what,
    })?;
    work.end();
    Ok(Restored {
        database: database.as_path().into(),
        file: file.to_owned(),
        version,
        rescue,
        compared,
    })
}

/// Refuses what is not a sound backup that this migrator knows.
async fn check(
    database: &Path,
    file: &Path,
    known: &[i64],
    progress: &Progress,
) -> Result<Checked, Error> {
    match fs::metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::Missing {
                file: file.to_owned(),
            });
        }
        Err(source) => {
            return Err(Error::Unreachable {
                file: file.to_owned(),
                source: source.into(),
            });
        }
        Ok(found) if !found.is_file() => return Err(Error::not_a_backup(file, "it is no file")),
        Ok(_) if files::is_same(file, database) => {
            return Err(Error::Itself {
                file: file.to_owned(),
            });
        }
        Ok(_) => {}
    }
    let work = progress.begin("checking the backup", 0);
    if let Some(record) = Record::of(file)? {
        compare_with_record(file, &record).await?;
    }
    let looked = look_at_backup(file).await;
    let checked = looked.map_err(|error| unusable_backup(file, error))??;
    refuse_unknown(file, checked.facts.version, known)?;
    work.end();
    Ok(checked)
}

async fn compare_with_record(file: &Path, record: &Record) -> Result<(), Error> {
    let path = file.to_owned();
    let (bytes, sha256) = blocking(move || fingerprint(&path))
        .await?
        .map_err(|source| Error::Unreachable {
            file: file.to_owned(),
            source: source.into(),
        })?;
    let what = if bytes != record.bytes {
        format!("it has {bytes} bytes, and by its record {}", record.bytes)
    } else if sha256 == record.sha256 {
        return Ok(());
    } else {
        "its SHA-256 is not that of its record".into()
    };
    Err(Error::Corrupt {
        file: file.to_owned(),
        what,
    })
}

async fn look_at_backup(file: &Path) -> Result<Result<Checked, Error>, sqlx::Error> {
    let mut backup = facts::open_backup(file).await?;
    let corrupt = |what| {
        Err(Error::Corrupt {
            file: file.to_owned(),
            what,
        })
    };
    let id = history::application_id(&mut backup).await?;
    if id != APPLICATION_ID {
        let why = format!("its application id is {id:#010x}");
        return Ok(Err(Error::not_a_backup(file, &why)));
    }
    if let Some(what) = facts::damage(&mut backup).await? {
        return Ok(corrupt(what));
    }
    if let Some((table, parent)) = Orphans::read(&mut backup).await?.first() {
        return Ok(corrupt(format!(
            "a row of {table} refers to one of {parent} that is not there"
        )));
    }
    let facts = facts::read(&mut backup).await?;
    let size = facts::size(&mut backup).await?;
    close(backup).await;
    Ok(Ok(Checked { facts, size }))
}

fn refuse_unknown(file: &Path, found: i64, known: &[i64]) -> Result<(), Error> {
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

/// Makes the database if it is missing, and sees that the backup's pages fit into it.
async fn prepare(database: &Path, file: &Path, page: i64) -> Result<SqliteConnection, Error> {
    if !database.exists() {
        make_file(database).map_err(|error| not_written(database, error))?;
    }
    let failed = |error: sqlx::Error| not_restored(database, error);
    let mut reader = facts::open(database).await.map_err(failed)?;
    // What is somebody else's is not touched, not even its journal mode.
    look(&mut reader, database).await?;
    let mode = facts::prepare(&mut reader, page).await.map_err(failed)?;
    if mode != "wal" {
        return Err(Error::Database(DatabaseError::NoWriteAheadLog {
            database: database.into(),
            mode,
        }));
    }
    let expected = facts::size(&mut reader).await.map_err(failed)?.page;
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

/// Returns what is in the database, and refuses what is not this system's.
async fn look(reader: &mut SqliteConnection, database: &Path) -> Result<Before, Error> {
    let failed = |error: sqlx::Error| not_restored(database, error);
    let id = history::application_id(reader).await.map_err(failed)?;
    match (id, facts::count_objects(reader).await) {
        (APPLICATION_ID, Ok(_)) => Ok(Before::Ours),
        (0, Ok(0)) => Ok(Before::Empty),
        (0, Ok(_)) => Err(Error::foreign(
            database,
            "it has tables that no migrator made",
        )),
        (id, Ok(_)) => Err(Error::foreign_id(database, id)),
        (APPLICATION_ID, Err(error)) if ResultCode::from(&error) == ResultCode::Corrupt => {
            Ok(Before::Damaged)
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
    let wait = Wait::new(lock_timeout);
    let mut fair_lock = FairLock::new(database);
    let mut attempts = wait.attempts(&mut fair_lock);
    loop {
        attempts.next().await?;
        match pages.lock() {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) => return Err(not_restored(database, error)),
        }
    }
}

/// Keeps what is in the database, and has all but the last page of the backup ready to be
/// committed. The one is copied after the other, since each is as fast as the disk; it is
/// compared while the pages are copied.
async fn replace(
    backups: &Backups,
    pages: OnlineBackup,
    before: Before,
    size: Size,
    progress: &Progress,
) -> Result<(OnlineBackup, Option<Backup>), Error> {
    let database = &backups.database;
    let taken = match before {
        Before::Ours => match copy::take(backups, None, RESCUE, progress).await {
            Err(Error::Damaged { .. }) => None,
            taken => Some(taken?),
        },
        Before::Empty | Before::Damaged => None,
    };
    files::check_room(database, size.logged())?;
    let work = progress.begin("restoring", pages.pages().total);
    let (verified, pages) = tokio::join!(verify_rescue(taken, progress), copy_pages(pages, work));
    let pages = pages?.map_err(|error| not_restored(database, error))?;
    let rescue = match verified? {
        None if before != Before::Empty => {
            // Too damaged for a backup: it is kept as it is.
            let why = format!("{RESCUE}, damaged");
            Some(copy::salvage(backups, &why, progress).await?)
        }
        rescue => rescue,
    };
    Ok((pages, rescue))
}

/// The rescue copy, unless what it is of proves to be damaged.
async fn verify_rescue(taken: Option<Taken>, progress: &Progress) -> Result<Option<Backup>, Error> {
    let Some(taken) = taken else { return Ok(None) };
    match taken.verify(progress).await {
        Err(Error::Damaged { .. } | Error::Differs { .. }) => Ok(None),
        backup => backup.map(Some),
    }
}

/// Compares the database with what was written. Returns whether the facts were compared:
/// they cannot be if another process has written in the instant after the commit.
async fn verify(
    verifier: &mut SqliteConnection,
    copied: CommittedBackup,
    expected: &Facts,
) -> Result<bool, String> {
    let failed = |error: sqlx::Error| error.to_string();
    facts::begin_reading(verifier).await.map_err(failed)?;
    // Asked after the snapshot is taken: if it is so now, it was so then.
    let unchanged_since_commit = copied
        .unchanged_since_commit()
        .map_err(|error| error.to_string())?;
    if let Some(what) = facts::damage(verifier).await.map_err(failed)? {
        return Err(what);
    }
    if !unchanged_since_commit {
        return Ok(false);
    }
    let found = facts::read(verifier).await.map_err(failed)?;
    expected.difference(&found).map_or(Ok(true), Err)
}
