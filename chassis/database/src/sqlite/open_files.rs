//! The identity of the files of an open database: the database, its write-ahead log (WAL), and the
//! index of the WAL. It knows no SQL.
//!
//! SQLite reads and writes the files that it has opened, also after they are moved, removed or
//! replaced. A commit then succeeds, and the next process does not find it. While a connection is
//! open, no process that uses SQLite removes or replaces one of these files, and the kernel assigns
//! their inodes to no other file.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// The endings of the names of the WAL and of its index.
const LOG_SUFFIXES: [&str; 2] = ["-wal", "-shm"];

/// The longest chain of symbolic links that Linux follows.
const MAX_LINKS: usize = 40;

/// The identity of a file: its device and its inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    /// Returns the identity of the file that is at `path` now. Follows symbolic links.
    ///
    /// # Errors
    ///
    /// If there is no file, or if it cannot be reached.
    pub fn of(path: &Path) -> io::Result<Self> {
        let file = fs::metadata(path)?;
        Ok(Self {
            device: file.dev(),
            inode: file.ino(),
        })
    }

    /// Compares the database at `path` with this one, which a connection has open.
    ///
    /// # Errors
    ///
    /// [`FileChange::Missing`] or [`FileChange::Replaced`].
    pub fn check(self, path: &Path) -> Result<(), FileChange> {
        let path = path.to_owned();
        match Self::of(&path) {
            Ok(found) if found == self => Ok(()),
            Ok(_) => Err(FileChange::Replaced { path }),
            Err(error) => Err(FileChange::Missing {
                path,
                kind: error.kind(),
            }),
        }
    }
}

/// A change of the files of an open database, with the remedy of an operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileChange {
    /// Move it back, or restore a backup.
    #[error(
        "{} was moved or removed while it is in use ({kind}); move it back, or stop all services \
         and restore a backup",
        path.display()
    )]
    Missing {
        /// The database.
        path: PathBuf,
        /// The reason that it is not found.
        kind: io::ErrorKind,
    },
    /// Restart with the new file.
    #[error(
        "{} was replaced by another file while it is in use; stop all services, then start them \
         to use that file (`migrator restore` replaces the content without a stop)",
        path.display()
    )]
    Replaced {
        /// The database.
        path: PathBuf,
    },
    /// Restart with the database alone, which has all that was committed.
    #[error(
        "{} was moved, removed or replaced while it is in use; stop all services, then start them",
        path.display()
    )]
    Log {
        /// The WAL or its index.
        path: PathBuf,
    },
}

/// The files of a database that a connection has open.
#[derive(Clone, Debug)]
pub(super) struct OpenFiles {
    path: PathBuf,
    database: FileIdentity,
    // Empty while no connection has the WAL open: its last connection removes it.
    logs: Vec<(PathBuf, FileIdentity)>,
}

impl OpenFiles {
    /// Records the files of a connection that has read from the database at `path`. `database` is the
    /// identity of the database from before the connection was opened.
    ///
    /// # Errors
    ///
    /// [`FileChange`] if the files were changed since.
    pub(super) fn record(path: &Path, database: FileIdentity) -> Result<Self, FileChange> {
        let mut files = Self {
            path: path.to_owned(),
            database,
            logs: Vec::new(),
        };
        let target = link_target(path);
        for suffix in LOG_SUFFIXES {
            let log = with_suffix(&target, suffix);
            let Ok(identity) = FileIdentity::of(&log) else {
                return Err(FileChange::Log { path: log });
            };
            files.logs.push((log, identity));
        }
        files.check()?;
        Ok(files)
    }

    /// Records the WAL and its index again, for a connection that was closed and opened again.
    ///
    /// # Errors
    ///
    /// [`FileChange`] if another database is at the path.
    pub(super) fn reopened(&mut self) -> Result<(), FileChange> {
        *self = Self::record(&self.path, self.database)?;
        Ok(())
    }

    /// Forgets the WAL and its index, when the connection is closed.
    pub(super) fn closed(&mut self) {
        self.logs.clear();
    }

    /// Compares the files at the paths with the open ones. A file that is overwritten in place keeps
    /// its identity, and is not detected.
    ///
    /// # Errors
    ///
    /// [`FileChange`] for the first file that is not in place.
    pub(super) fn check(&self) -> Result<(), FileChange> {
        self.database.check(&self.path)?;
        for (path, identity) in &self.logs {
            if FileIdentity::of(path).ok() != Some(*identity) {
                return Err(FileChange::Log { path: path.clone() });
            }
        }
        Ok(())
    }

    /// Returns whether to copy the commits of the open WAL into the open database. Not if they are in
    /// place, and not if another process may have started another WAL with the same index: its
    /// commits would be lost.
    pub(super) fn should_checkpoint(&self) -> bool {
        let in_place = |(path, identity): &(PathBuf, FileIdentity)| {
            FileIdentity::of(path).ok() == Some(*identity)
        };
        let [wal, index] = self.logs.as_slice() else {
            return false;
        };
        // A connection that only reads creates an empty WAL.
        if fs::metadata(&wal.0).map_or(0, |found| found.len()) == 0 {
            return true;
        }
        self.database.check(&self.path).is_err() && (in_place(wal) || !in_place(index))
    }
}

/// Follows the symbolic links of the database itself: SQLite puts the WAL beside their target.
fn link_target(path: &Path) -> PathBuf {
    let mut target = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(next) = fs::read_link(&target) else {
            break;
        };
        target = match target.parent() {
            Some(directory) => directory.join(next),
            None => next,
        };
    }
    target
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    /// Returns a directory with the files of a database, and what a connection has open.
    fn open() -> (TempDir, PathBuf, OpenFiles) {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("a.db");
        for suffix in ["", "-wal", "-shm"] {
            fs::write(with_suffix(&path, suffix), suffix).unwrap();
        }
        let files = OpenFiles::record(&path, FileIdentity::of(&path).unwrap()).unwrap();
        (directory, path, files)
    }

    #[test]
    fn files_that_are_moved_away_and_back_are_in_place() {
        let (_directory, path, files) = open();
        let away = with_suffix(&path, ".away");

        fs::rename(&path, &away).unwrap();
        let missing = files.check();
        fs::rename(&away, &path).unwrap();

        let kind = io::ErrorKind::NotFound;
        assert_eq!(missing, Err(FileChange::Missing { path, kind }));
        assert_eq!(files.check(), Ok(()));
    }

    #[test]
    fn another_file_at_the_path_is_detected() {
        let (_directory, path, files) = open();
        let other = with_suffix(&path, ".other");
        fs::copy(&path, &other).unwrap();

        fs::rename(&other, &path).unwrap();

        assert_eq!(files.check(), Err(FileChange::Replaced { path }));
    }

    #[test]
    fn a_removed_log_or_index_is_detected() {
        for suffix in LOG_SUFFIXES {
            let (_directory, path, files) = open();
            let path = with_suffix(&path, suffix);

            fs::remove_file(&path).unwrap();

            assert_eq!(files.check(), Err(FileChange::Log { path }));
        }
    }

    #[test]
    fn a_file_that_is_replaced_while_it_is_opened_is_detected() {
        let (_directory, path, _) = open();
        let before = FileIdentity::of(&path).unwrap();
        let other = with_suffix(&path, ".other");
        fs::copy(&path, &other).unwrap();

        fs::rename(&other, &path).unwrap();

        let recorded = OpenFiles::record(&path, before).map(drop);
        assert_eq!(recorded, Err(FileChange::Replaced { path }));
    }

    #[test]
    fn a_link_leads_to_the_log_of_its_target_and_is_followed_again() {
        let (directory, target, _) = open();
        let links = directory.path().join("links");
        fs::create_dir(&links).unwrap();
        let path = links.join("b.db");
        symlink("../c.db", &path).unwrap();
        symlink("a.db", directory.path().join("c.db")).unwrap();

        let files = OpenFiles::record(&path, FileIdentity::of(&target).unwrap()).unwrap();
        let followed = files.check();
        fs::remove_file(&path).unwrap();
        symlink("b.db-wal", &path).unwrap();
        fs::write(links.join("b.db-wal"), "").unwrap();

        assert_eq!(followed, Ok(()));
        assert_eq!(files.check(), Err(FileChange::Replaced { path }));
    }

    #[test]
    fn a_log_is_copied_unless_another_process_has_started_another_one() {
        let (_directory, path, files) = open();
        let [wal, index] = LOG_SUFFIXES.map(|suffix| with_suffix(&path, suffix));

        let in_place = files.should_checkpoint();
        fs::rename(&wal, with_suffix(&wal, ".away")).unwrap();
        let removed = files.should_checkpoint();
        fs::write(&wal, "another log").unwrap();
        let another = files.should_checkpoint();
        fs::rename(&path, with_suffix(&path, ".away")).unwrap();
        let shared_index = files.should_checkpoint();
        fs::remove_file(&index).unwrap();
        let own_index = files.should_checkpoint();
        fs::rename(with_suffix(&wal, ".away"), &wal).unwrap();
        let database_moved = files.should_checkpoint();

        assert_eq!([in_place, another, shared_index], [false; 3]);
        assert_eq!([removed, own_index, database_moved], [true; 3]);
    }
}
