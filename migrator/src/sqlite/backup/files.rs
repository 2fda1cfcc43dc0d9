//! Backup files: their names, and their atomic publication. Knows neither their content nor
//! SQL.
//!
//! A backup is written to `NAME.partial`, which is locked while its process lives, and renamed
//! once it is verified. So each file with the name of a backup is complete, and an unlocked
//! `.partial` was left by a killed process.
//!
//! Only regular files are opened or removed. A symbolic link is not followed: it may lead to a file
//! of another program. A FIFO is not opened: that would wait for another process.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use rustix::fs::OFlags;

use super::{
    error::{Error, write_error},
    name::{MANIFEST_SUFFIX, PARTIAL_SUFFIX, SQLITE_SUFFIXES, SortKey, backup_of},
};

/// The number of attempts to reserve a name, while other processes remove leftovers or reserve
/// names. A process that never succeeds ends with an error instead of a loop.
const MAX_ATTEMPTS: u32 = 100;

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
    // A file system without a size, such as ramfs, has no blocks.
    if free >= needed || disk.f_blocks == 0 {
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

/// Reports whether a directory is on the disk of another one. A missing directory will be.
pub(super) fn is_same_disk(one: &Path, other: &Path) -> bool {
    match (fs::metadata(one), fs::metadata(other)) {
        (Ok(one), Ok(other)) => one.dev() == other.dev(),
        _ => true,
    }
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
    /// Reserves a name that follows those of all backups in a directory. The caller may hold the
    /// write lock, thus no leftover is opened or removed.
    pub(super) fn in_folder(
        folder: &Path,
        stem: &str,
        time: DateTime<Utc>,
        version: i64,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Folder {
            folder: folder.to_owned(),
            source,
        };
        let newest = newest(folder, stem).map_err(failed)?;
        let mut key = SortKey::at(time).after(newest);
        for _ in 0..MAX_ATTEMPTS {
            let target = folder.join(key.name(stem, version));
            if let Some(partial) = Self::create(&target).map_err(failed)? {
                return Ok(partial);
            }
            key = key.next();
        }
        Err(failed(io::ErrorKind::AlreadyExists.into()))
    }

    /// Reserves the given name. The leftover of a killed process is replaced.
    pub(super) fn at(asked: &Path) -> Result<Self, Error> {
        let path = with_suffix(asked, PARTIAL_SUFFIX);
        for _ in 0..MAX_ATTEMPTS {
            let created = Self::create(asked).map_err(|source| match source.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::Folder {
                    folder: parent_dir(asked).to_owned(),
                    source,
                },
                _ => write_error(asked, source),
            })?;
            if let Some(partial) = created {
                return Ok(partial);
            }
            let mut there = [asked.to_owned(), manifest_path(asked)].into_iter();
            if let Some(file) = there.find(|file| is_taken(file)) {
                return Err(Error::Exists { file });
            }
            if !is_taken(&path) {
                // SQLite would read a journal that lies beside the new file.
                match files_beside(&path).into_iter().find(|file| is_taken(file)) {
                    Some(file) => return Err(Error::Exists { file }),
                    None => continue,
                }
            }
            match remove_abandoned(&path) {
                Ok(true) => {}
                Ok(false) => break,
                Err(source) => return Err(Error::Obstructed { file: path, source }),
            }
        }
        // Another process writes it.
        Err(Error::Exists { file: path })
    }

    /// Creates the empty file with mode 0600. Returns `None` if the name is taken: by a backup or a
    /// partial file, by a manifest, or by a file of SQLite.
    fn create(target: &Path) -> io::Result<Option<Self>> {
        let path = with_suffix(target, PARTIAL_SUFFIX);
        let made = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        let file = match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            made => made?,
        };
        // Another process that removes leftovers may hold the lock already.
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if !is_at(&file, &path) {
            return Ok(None);
        }
        // Only under the lock no other process can take the name. An existing file is never
        // overwritten, nor a manifest without its backup.
        let mut others = files_beside(&path);
        others.extend([target.to_owned(), manifest_path(target)]);
        if others.iter().any(|file| is_taken(file)) {
            fs::remove_file(&path)?;
            return Ok(None);
        }
        Ok(Some(Self {
            target: target.to_owned(),
            path,
            file,
        }))
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
            .create_new(true)
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
        if is_at(&self.file, &self.path)
            && let Err(error) = remove_partial(&self.path)
        {
            tracing::warn!(file = %self.path.display(), %error, "partial backup was not removed");
        }
    }
}

/// Reports whether a path still leads to an open file.
fn is_at(file: &File, path: &Path) -> bool {
    have_same_inode(file.metadata(), path.symlink_metadata())
}

/// Reports whether a path leads to a file of any kind.
pub(super) fn is_taken(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Opens a regular file. Anything else is neither followed nor opened nor waited for.
pub(super) fn open_regular(path: &Path) -> io::Result<File> {
    let check = |found: &Metadata| {
        if found.is_file() {
            return Ok(());
        }
        Err(io::Error::other("it is not a regular file"))
    };
    // Opening a device may have an effect. The flags are for a file that is replaced in between.
    check(&path.symlink_metadata()?)?;
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    check(&file.metadata()?)?;
    Ok(file)
}

/// Returns the newest key in a directory, also that of an unfinished backup.
fn newest(folder: &Path, stem: &str) -> io::Result<Option<SortKey>> {
    let mut newest = None;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let key = name
            .to_str()
            .and_then(|name| SortKey::from_name(backup_of(name), stem));
        newest = newest.max(key);
    }
    Ok(newest)
}

/// Removes a partial backup unless its process is alive. Returns whether it is gone.
///
/// # Errors
///
/// The reason for which it can neither be locked nor removed.
pub(super) fn remove_abandoned(path: &Path) -> io::Result<bool> {
    let file = match open_regular(path) {
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
        remove_partial(path)?;
    }
    Ok(true)
}

/// Removes a partial backup and, before it, the files beside it. The next run retries a failure.
fn remove_partial(path: &Path) -> io::Result<()> {
    for file in files_beside(path) {
        if let Err(error) = remove_regular(&file) {
            tracing::debug!(file = %file.display(), %error, "file was not removed");
        }
    }
    remove_regular(path)
}

/// Returns the paths of the files beside a partial backup: those of SQLite, and its manifest.
fn files_beside(partial: &Path) -> Vec<PathBuf> {
    let mut target = partial.as_os_str().as_bytes();
    target = target
        .strip_suffix(PARTIAL_SUFFIX.as_bytes())
        .unwrap_or(target);
    let manifest = manifest_path(Path::new(OsStr::from_bytes(target)));
    SQLITE_SUFFIXES
        .map(|end| with_suffix(partial, end))
        .into_iter()
        .chain([with_suffix(&manifest, PARTIAL_SUFFIX)])
        .collect()
}

/// Removes a regular file. A missing one is no failure, and anything else is left alone.
pub(super) fn remove_regular(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(found) if found.is_file() => match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
        Ok(_) => Err(io::Error::other("it is not a regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
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
