//! Checks on the location of a database: the kind of its file system, and whether this process may
//! read and write there. It knows no SQL.
//!
//! A check rejects only what it can prove. A file or directory that does not exist yet is
//! accepted.

mod network;

use std::{
    fs::Metadata,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Access, access},
    io::Errno,
    process::geteuid,
};

/// The reason that no process can work with a database at its location: one variant for each
/// remedy of an operator.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// Name the file of the database.
    #[error("{} is not a file; set DATABASE_URL to the database file itself", path.display())]
    NotAFile {
        /// The directory or device.
        path: PathBuf,
    },
    /// Put it on a local disk.
    #[error(
        "{} is on a network file system, {system}, on which a write-ahead log cannot be shared: \
         put the database on a local disk",
        path.display()
    )]
    Network {
        /// The file, or the directory for it.
        path: PathBuf,
        /// The name of the file system.
        system: &'static str,
    },
    /// Mount it for writing.
    #[error(
        "{} is on a disk that is mounted read-only: mount it for writing, which reads need too",
        path.display()
    )]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// Free space.
    #[error("the disk of {} is full, with {free} bytes left: make room on it", path.display())]
    Full {
        /// The file.
        path: PathBuf,
        /// The bytes that can still be written.
        free: u64,
    },
    /// Let this process into a directory above, or put the database elsewhere.
    #[error(
        "{} does not let this process, which runs as uid {uid}, reach the files in it: \
         `chmod o+x {}`, or put the database elsewhere",
        path.display(),
        path.display()
    )]
    Unreachable {
        /// The outermost directory without access.
        path: PathBuf,
        /// The user of this process.
        uid: u32,
    },
    /// Change the owner to the user of this process.
    #[error(
        "{} belongs to uid {owner}, and this process runs as uid {uid}, which may not use it: \
         `chown -R {uid} {}`, or run every process as uid {owner}",
        path.display(),
        directory.display()
    )]
    WrongOwner {
        /// The file or the directory.
        path: PathBuf,
        /// The directory of the database.
        directory: PathBuf,
        /// The owner of `path`.
        owner: u32,
        /// The user of this process.
        uid: u32,
    },
    /// Change the mode.
    #[error(
        "{} belongs to this process's own uid {uid}, and its mode {mode:04o} does not let it \
         be read and written: `chmod u+rwX {}`",
        path.display(),
        path.display()
    )]
    Mode {
        /// The file or the directory.
        path: PathBuf,
        /// The user of this process.
        uid: u32,
        /// The mode of `path`.
        mode: u32,
    },
}

/// Rejects the location of a database on a network file system, or where this process may not
/// read and write.
///
/// If the file does not exist, only its directory is checked; if that does not exist either, only
/// the file system.
///
/// # Errors
///
/// [`VolumeError`], whose text is one line with the remedy.
pub fn check(database: &Path) -> Result<(), VolumeError> {
    let directory = directory_of(database);
    let existing = nearest_existing(database)?;
    // SQLite would create a database beside a device such as `/dev/null`.
    if existing == database && database.metadata().is_ok_and(|found| !found.is_file()) {
        return Err(VolumeError::NotAFile {
            path: database.to_owned(),
        });
    }
    if let Some(system) = network::file_system(existing) {
        return Err(VolumeError::Network {
            path: existing.to_owned(),
            system,
        });
    }
    if existing == database || existing == directory {
        let all = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
        check_access(directory, database, all)?;
    }
    if existing == database {
        check_access(database, database, Access::READ_OK | Access::WRITE_OK)?;
    }
    Ok(())
}

/// Checks the location of a database like [`check`], for a process that creates the missing
/// directories and the file.
///
/// # Errors
///
/// Those of [`check`].
pub fn check_new(database: &Path) -> Result<(), VolumeError> {
    check(database)?;
    let existing = nearest_existing(database)?;
    if existing.is_dir() {
        check_access(existing, database, Access::WRITE_OK | Access::EXEC_OK)?;
    }
    Ok(())
}

/// Returns the directory of a file.
fn directory_of(file: &Path) -> &Path {
    match file.parent() {
        Some(directory) if directory != Path::new("") => directory,
        _ => Path::new("."),
    }
}

/// Returns the path, or its nearest ancestor that exists.
pub(super) fn nearest_existing(path: &Path) -> Result<&Path, VolumeError> {
    let mut at = path;
    loop {
        match at.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let above = directory_of(at);
                if above == at {
                    return Ok(at);
                }
                at = above;
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(unreachable(at));
            }
            // Opening the file reports any other error.
            _ => return Ok(at),
        }
    }
}

/// Returns the error for a path below a directory without access.
fn unreachable(path: &Path) -> VolumeError {
    let outermost = path
        .ancestors()
        .skip(1)
        .filter(|directory| *directory != Path::new(""))
        .filter(|directory| access(*directory, Access::EXEC_OK).is_err())
        .last()
        .unwrap_or(directory_of(path));
    if outermost == directory_of(path) {
        return denied(outermost, outermost);
    }
    VolumeError::Unreachable {
        path: outermost.to_owned(),
        uid: geteuid().as_raw(),
    }
}

/// Checks that this process has `needed` access to the database's file or to a directory for it.
fn check_access(path: &Path, database: &Path, needed: Access) -> Result<(), VolumeError> {
    match access(path, needed) {
        Err(Errno::ROFS) => Err(VolumeError::ReadOnly {
            path: database.to_owned(),
        }),
        Err(Errno::ACCESS | Errno::PERM) => Err(denied(path, directory_of(database))),
        _ => Ok(()),
    }
}

/// Returns the error for a file or directory without access.
fn denied(path: &Path, directory: &Path) -> VolumeError {
    let uid = geteuid().as_raw();
    let file = path.metadata();
    let owner = file.as_ref().map_or(uid, Metadata::uid);
    if owner == uid {
        return VolumeError::Mode {
            path: path.to_owned(),
            uid,
            mode: file.map_or(0, |file| file.mode() & 0o7777),
        };
    }
    VolumeError::WrongOwner {
        path: path.to_owned(),
        directory: directory.to_owned(),
        owner,
        uid,
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_directory_and_a_device_are_rejected() {
        let directory = TempDir::new().unwrap();

        for path in [directory.path(), Path::new("/dev/null"), Path::new("/")] {
            let error = check(path).unwrap_err();

            assert!(matches!(error, VolumeError::NotAFile { .. }), "{error}");
        }
    }

    #[test]
    fn a_location_that_does_not_exist_is_accepted() {
        let directory = TempDir::new().unwrap();

        for path in ["microblog.db", "a/b/microblog.db"] {
            let path = directory.path().join(path);

            assert!(check(&path).is_ok() && check_new(&path).is_ok(), "{path:?}");
        }
    }
}
