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
    copy::{self, Taken, blocking, close},
    copy_pages,
    error::{Error, not_restored, not_written, unreadable, unusable_backup},
    facts::{self, Facts, Size},
    files,
    manifest::{Record, fingerprint},
};
use crate::{
    report::progress::Progress,
    sqlite::{history, lock_backoff::Wait, orphans::Orphans, session::make_file},
    state::error::DatabaseError,
};

/// Why there is the copy of what was in the database.
const RESCUE: &str = "rescue before restore";

/// A backup that may be restored.
struct Checked {
    facts: Facts,
    /// Of its tables, indexes, views and triggers, word for word.
    declarations: Vec<String>,
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
    let copied = blocking(|| pages.finish()).await?.map_err(failed)?;

    let work = progress.begin("verifying the database", 0);
    let (compared, emptied) = tokio::join!(
        blocking(move || verify(&copied, &checked)),
        // A log as large as the database is nothing to leave to the next commit.
        facts::empty_log(&mut reader)
    );
    if let Err(error) = emptied {
        tracing::warn!(%error, "the write-ahead log is not emptied yet");
    }
    close(reader).await;
    let compared = compared?.map_err(|what| Error::NotAsWritten {
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
    let declarations = facts::declarations(&mut backup).await?;
    let size = facts::size(&mut backup).await?;
    close(backup).await;
    Ok(Ok(Checked {
        facts,
        declarations,
        size,
    }))
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
    let unreadable = |error: sqlx::Error| match unreadable(database, error) {
        Error::Damaged { database, what }
        | Error::Database(DatabaseError::Foreign {
            database,
            why: what,
        }) => Error::Unreadable { database, what },
        error => error,
    };
    let mut reader = facts::open(database).await.map_err(unreadable)?;
    let id = history::application_id(&mut reader)
        .await
        .map_err(unreadable)?;
    // What is somebody else's is not touched, not even its journal mode.
    if id == APPLICATION_ID || id == 0 && is_empty(&mut reader, database).await? {
        let mode = facts::prepare(&mut reader, page)
            .await
            .map_err(unreadable)?;
        if mode != "wal" {
            return Err(Error::Database(DatabaseError::NoWriteAheadLog {
                database: database.into(),
                mode,
            }));
        }
    } else {
        return Err(foreign(database, id));
    }
    let expected = facts::size(&mut reader).await.map_err(unreadable)?.page;
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

/// What is in the database, with the lock taken.
async fn look(reader: &mut SqliteConnection, database: &Path) -> Result<Before, Error> {
    match facts::application_id_and_objects(reader).await {
        Ok((APPLICATION_ID, _)) => Ok(Before::Ours),
        Ok((0, 0)) => Ok(Before::Empty),
        Ok((id, _)) => Err(foreign(database, id)),
        Err(error) => match unreadable(database, error) {
            // What it is was seen before the lock: `prepare` refuses what is not ours.
            Error::Damaged { .. } => Ok(Before::Damaged),
            error => Err(error),
        },
    }
}

async fn is_empty(reader: &mut SqliteConnection, database: &Path) -> Result<bool, Error> {
    let found = facts::application_id_and_objects(reader).await;
    let (_, objects) = found.map_err(|error| unreadable(database, error))?;
    Ok(objects == 0)
}

/// Takes the write lock, and waits for it.
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
        if pages
            .lock()
            .map_err(|error| not_restored(database, error))?
        {
            return Ok(());
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

/// Whether the database is what was written. Says whether it was compared with the backup:
/// if somebody has written in the instant after the commit, it cannot be.
fn verify(copied: &CommittedBackup, expected: &Checked) -> Result<bool, String> {
    let texts = |query: &str| {
        copied
            .query_strings(query)
            .map_err(|error| error.to_string())
    };
    if let Some(what) = texts(facts::DAMAGE)?.into_iter().find(|what| what != "ok") {
        return Err(what.replace(['\n', '\r'], " "));
    }
    if !copied.unchanged_since_commit() {
        return Ok(false);
    }
    if texts(facts::DECLARATIONS)? != expected.declarations {
        return Err("its schema is another".into());
    }
    for (table, expected) in &expected.facts.rows {
        let found = texts(&facts::count(table))?;
        if found != [expected.to_string()] {
            let found = found.join(", ");
            return Err(format!(
                "{table} has {found} rows in it instead of {expected}"
            ));
        }
    }
    Ok(true)
}

fn foreign(database: &Path, id: i32) -> Error {
    match id {
        0 => Error::foreign(database, "it has tables that no migrator made"),
        id => Error::foreign_id(database, id),
    }
}
