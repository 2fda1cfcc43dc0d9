//! Backups as files: their names, and how one appears whole or not at all. Knows nothing of
//! what is in them, and no SQL.
//!
//! A backup is written under its name with `.partial` behind it, locked for as long as its
//! process lives, and renamed when it is known to be good. So what bears the name of a
//! backup is one, and a `.partial` that nobody has locked is what a killed process left.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};

use super::error::{Error, write_error};

pub(super) const PARTIAL_SUFFIX: &str = ".partial";
pub(super) const MANIFEST_SUFFIX: &str = ".json";
pub(super) const BACKUP_SUFFIX: &str = ".db";

/// The path with more behind its name.
pub(super) fn with_suffix(path: &Path, more: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(more);
    name.into()
}

/// Where the record of a backup is.
pub(super) fn manifest_path(backup: &Path) -> PathBuf {
    with_suffix(backup, MANIFEST_SUFFIX)
}

/// The folder that a file is in.
pub(super) fn parent_dir(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Makes a folder that only its owner may enter, if it is not there.
pub(super) fn create_dir(folder: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|source| Error::Folder {
        folder: folder.to_owned(),
        source,
    })
}

/// Refuses what the disk has no room for, before anything is written.
pub(super) fn check_room(file: &Path, needed: u64) -> Result<(), Error> {
    let folder = parent_dir(file);
    let disk = rustix::fs::statvfs(folder).map_err(|source| Error::Folder {
        folder: folder.to_owned(),
        source: source.into(),
    })?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free >= needed {
        return Ok(());
    }
    Err(Error::InsufficientSpace {
        file: file.to_owned(),
        needed,
        free,
    })
}

/// Whether two paths lead to one file. Neither is opened: to close the database would drop
/// the locks that this process has on it.
pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    have_same_inode(fs::metadata(one), fs::metadata(other))
}

fn have_same_inode(one: io::Result<Metadata>, other: io::Result<Metadata>) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

/// A backup that is being written. Dropped before it is published, it leaves nothing.
#[derive(Debug)]
pub(super) struct PartialBackup {
    target: PathBuf,
    path: PathBuf,
    /// Locked: so those who clean up see that somebody is at work.
    file: File,
}

impl PartialBackup {
    /// Reserves the name that a backup of this moment has in a folder.
    pub(super) fn in_folder(
        folder: &Path,
        stem: &str,
        time: DateTime<Utc>,
        version: i64,
    ) -> Result<Self, Error> {
        let time = time.format("%Y%m%dT%H%M%S%.3fZ");
        let mut number = 1_u32;
        loop {
            let more = match number {
                1 => String::new(),
                number => format!("-{number}"),
            };
            let name = format!("{stem}-{time}-v{version:04}{more}{BACKUP_SUFFIX}");
            match Self::reserve(&folder.join(name)) {
                Ok(partial) => return Ok(partial),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(source) => {
                    return Err(Error::Folder {
                        folder: folder.to_owned(),
                        source,
                    });
                }
            }
        }
    }

    /// Reserves a name that was asked for.
    pub(super) fn at(asked: &Path) -> Result<Self, Error> {
        Self::reserve(asked).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => {
                // IsDatabase, its record, or else what somebody is writing.
                let mut there = [asked.to_owned(), manifest_path(asked)].into_iter();
                let file = there.find(|file| file.symlink_metadata().is_ok());
                let file = file.unwrap_or_else(|| with_suffix(asked, PARTIAL_SUFFIX));
                Error::Exists { file }
            }
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::Folder {
                folder: parent_dir(asked).to_owned(),
                source,
            },
            _ => write_error(asked, source),
        })
    }

    /// Makes the empty file, for its owner only. What a killed process left under the name
    /// is replaced.
    fn reserve(target: &Path) -> io::Result<Self> {
        let path = with_suffix(target, PARTIAL_SUFFIX);
        loop {
            let made = OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path);
            let file = match made {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    if remove_abandoned(&path)? {
                        continue;
                    }
                    return Err(error);
                }
                Err(error) => return Err(error),
            };
            // Somebody who cleans up may have come before the lock.
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(error),
            }
            if !is_at(&file, &path) {
                continue;
            }
            // Only now is it certain that nobody else is about to take the name. What has
            // it is left alone, and so is a record without its backup.
            let taken = |path: &Path| path.symlink_metadata().is_ok();
            if taken(target) || taken(&manifest_path(target)) {
                fs::remove_file(&path)?;
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            return Ok(Self {
                target: target.to_owned(),
                path,
                file,
            });
        }
    }

    /// Where it is written to.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where it will be.
    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// Has it on the disk.
    pub(super) fn sync(&self) -> Result<(), Error> {
        self.file
            .sync_all()
            .map_err(|error| write_error(&self.target, error))
    }

    /// Gives it its name, and the record beside it.
    pub(super) fn publish(self, record: &[u8]) -> Result<PathBuf, Error> {
        self.try_publish(record)
            .map_err(|error| write_error(&self.target, error))?;
        Ok(self.target.clone())
    }

    /// The record comes first: a backup that is seen has one.
    fn try_publish(&self, record: &[u8]) -> io::Result<()> {
        let target = manifest_path(&self.target);
        let partial = with_suffix(&target, PARTIAL_SUFFIX);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&partial)?;
        file.write_all(record)?;
        file.sync_all()?;
        fs::rename(&partial, &target)?;
        if let Err(error) = fs::rename(&self.path, &self.target) {
            let _ = fs::remove_file(&target);
            return Err(error);
        }
        File::open(parent_dir(&self.target))?.sync_all()
    }
}

impl Drop for PartialBackup {
    /// What is published has another name by now. It is still locked here, so nobody else
    /// can have taken the name of the partial.
    fn drop(&mut self) {
        if is_at(&self.file, &self.path) {
            remove_partial(&self.path);
        }
    }
}

/// Whether an open file is the one that has this path now.
fn is_at(file: &File, path: &Path) -> bool {
    have_same_inode(file.metadata(), path.symlink_metadata())
}

/// Removes a partial backup unless somebody is at work on it; says whether it is gone.
pub(super) fn remove_abandoned(path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    if is_at(&file, path) {
        remove_partial(path);
    }
    Ok(true)
}

/// Removes a partial backup and what was put beside it. What cannot be removed is left for
/// the next run.
fn remove_partial(path: &Path) {
    let name = path.as_os_str().to_string_lossy();
    let target = PathBuf::from(name.strip_suffix(PARTIAL_SUFFIX).unwrap_or(&name));
    let record = with_suffix(&manifest_path(&target), PARTIAL_SUFFIX);
    let beside = ["-journal", "-wal", "-shm"].map(|end| with_suffix(path, end));
    for file in beside.into_iter().chain([record, path.to_owned()]) {
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(file = %file.display(), %error, "a partial backup is left behind");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_that_is_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();

        drop(PartialBackup::at(&folder.path().join("a.db")).unwrap());

        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_backup_overwrites_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.db");
        fs::write(&file, "mine").unwrap();

        let other = folder.path().join("b.db");
        fs::write(manifest_path(&other), "mine").unwrap();
        let writing = PartialBackup::at(&folder.path().join("c.db")).unwrap();

        for (asked, there) in [
            (&file, file.clone()),
            (&other, manifest_path(&other)),
            (&writing.target, writing.path.clone()),
        ] {
            let refusal = PartialBackup::at(asked).unwrap_err();

            assert!(
                matches!(&refusal, Error::Exists { file } if *file == there),
                "{refusal}"
            );
            assert!(there.exists());
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }
}
