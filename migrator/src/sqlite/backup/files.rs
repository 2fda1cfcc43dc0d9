//! Backup files: their names, and their atomic publication. Knows neither their content nor
//! SQL.
//!
//! A backup is written to `NAME.partial`, which is locked while its process lives, and renamed
//! once it is verified. So each file with the name of a backup is complete, and an unlocked
//! `.partial` was left by a killed process.

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

/// Returns the path with a suffix appended to its name.
pub(super) fn with_suffix(path: &Path, more: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(more);
    name.into()
}

/// Returns the path of a backup's manifest.
pub(super) fn manifest_path(backup: &Path) -> PathBuf {
    with_suffix(backup, MANIFEST_SUFFIX)
}

/// Returns the directory of a file.
pub(super) fn parent_dir(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Creates a directory that only its owner may enter, unless it exists.
pub(super) fn create_dir(folder: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|source| Error::Folder {
        folder: folder.to_owned(),
        source,
    })
}

/// Rejects a file that the disk has no room for, before anything is written.
pub(super) fn check_free_space(file: &Path, needed: u64) -> Result<(), Error> {
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

/// Reports whether two paths lead to one file. It opens neither: closing the database file would
/// drop the POSIX locks that this process holds on it.
pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    have_same_inode(fs::metadata(one), fs::metadata(other))
}

fn have_same_inode(one: io::Result<Metadata>, other: io::Result<Metadata>) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

/// A backup that is being written. Dropping it before it is published removes its files.
#[derive(Debug)]
pub(super) struct PartialBackup {
    target: PathBuf,
    path: PathBuf,
    /// Holds the file lock, by which other processes see that this one is at work.
    file: File,
}

impl PartialBackup {
    /// Reserves the name of a backup of this moment in a directory.
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

    /// Reserves the given name.
    pub(super) fn at(asked: &Path) -> Result<Self, Error> {
        Self::reserve(asked).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => {
                // The file, its manifest, or else the partial file of another process.
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

    /// Creates the empty file with mode 0600. The leftover of a killed process is replaced.
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
            // Another process that cleans up may hold the lock already.
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(error),
            }
            if !is_at(&file, &path) {
                continue;
            }
            // Only under the lock no other process can take the name. An existing file is never
            // overwritten, nor a manifest without its backup.
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

    /// Returns the path of the partial file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of the published backup.
    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// Syncs the file to the disk.
    pub(super) fn sync(&self) -> Result<(), Error> {
        self.file
            .sync_all()
            .map_err(|error| write_error(&self.target, error))
    }

    /// Gives the backup its name, and writes its manifest beside it.
    pub(super) fn publish(self, manifest: &[u8]) -> Result<PathBuf, Error> {
        self.try_publish(manifest)
            .map_err(|error| write_error(&self.target, error))?;
        Ok(self.target.clone())
    }

    /// Writes the manifest first, so that each visible backup has one.
    fn try_publish(&self, manifest: &[u8]) -> io::Result<()> {
        let target = manifest_path(&self.target);
        let partial = with_suffix(&target, PARTIAL_SUFFIX);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&partial)?;
        file.write_all(manifest)?;
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
    /// A published file has another name by now. The lock is still held, so no other process can
    /// have reused the name of the partial file.
    fn drop(&mut self) {
        if is_at(&self.file, &self.path) {
            remove_partial(&self.path);
        }
    }
}

/// Reports whether a path still leads to an open file.
fn is_at(file: &File, path: &Path) -> bool {
    have_same_inode(file.metadata(), path.symlink_metadata())
}

/// Removes a partial backup unless its process is alive. Returns whether it is gone.
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

/// Removes a partial backup and the files beside it. The next run retries any failure.
fn remove_partial(path: &Path) {
    let name = path.as_os_str().to_string_lossy();
    let target = PathBuf::from(name.strip_suffix(PARTIAL_SUFFIX).unwrap_or(&name));
    let manifest = with_suffix(&manifest_path(&target), PARTIAL_SUFFIX);
    let beside = ["-journal", "-wal", "-shm"].map(|end| with_suffix(path, end));
    for file in beside.into_iter().chain([manifest, path.to_owned()]) {
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(file = %file.display(), %error, "partial backup was not removed");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_partial_backup_leaves_no_files() {
        let folder = tempfile::tempdir().unwrap();

        drop(PartialBackup::at(&folder.path().join("a.db")).unwrap());

        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_backup_never_overwrites_a_file() {
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
