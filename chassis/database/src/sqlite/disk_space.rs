//! Free space on the disk of the database: checked before the database is opened, and before each
//! transaction. It knows no SQL.

use std::path::{Path, PathBuf};

use rustix::fs::statvfs;

use super::volume::{VolumeError, nearest_existing};
use crate::Error;

/// The free bytes that the first process needs to open a database. SQLite writes the index of the
/// write-ahead log (WAL) through a memory mapping, which raises SIGBUS on a full disk. The index
/// takes 32 KiB for each 4,096 pages of the WAL, so this is enough for a WAL of 512 MiB.
const MIN_STARTUP_BYTES: u64 = 1 << 20;

/// Returns the free bytes that an unprivileged process may write on the disk of `path`, or `None`
/// for a file system without a size, such as ramfs.
fn free_bytes(path: &Path) -> Option<u64> {
    let disk = statvfs(path).ok()?;
    (disk.f_blocks > 0).then(|| disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Rejects a disk with too little free space for the first process to open the database.
///
/// # Errors
///
/// [`VolumeError::Full`], which disappears once space is freed.
pub fn check_free_space(database: &Path) -> Result<(), VolumeError> {
    let mut index = database.as_os_str().to_owned();
    index.push("-shm");
    if Path::new(&index).exists() {
        return Ok(());
    }
    match free_bytes(nearest_existing(database)?) {
        Some(free) if free < MIN_STARTUP_BYTES => Err(VolumeError::Full {
            path: database.to_owned(),
            free,
        }),
        _ => Ok(()),
    }
}

/// A guard that rejects writes while less than a minimum is free on the disk.
#[derive(Debug)]
pub(super) struct DiskSpaceGuard {
    database: PathBuf,
    min_free_bytes: u64,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Enough,
    /// Less than the minimum is free.
    BelowMinimum,
    /// A transaction failed because the disk was full. The free bytes do not tell when that ends,
    /// since a quota may be the reason.
    Full,
}

impl DiskSpaceGuard {
    pub(super) fn new(database: &Path, min_free_bytes: u64) -> Self {
        Self {
            database: database.to_owned(),
            min_free_bytes,
            state: State::Enough,
        }
    }

    /// Rejects a transaction if less than the minimum is free. Takes about 1 µs.
    pub(super) fn check(&mut self) -> Result<(), Error> {
        if self.min_free_bytes == 0 {
            return Ok(());
        }
        match free_bytes(&self.database) {
            Some(free) if free < self.min_free_bytes => {
                self.enter(State::BelowMinimum, Some(free));
                Err(Error::DiskFull)
            }
            free => {
                // Only a successful transaction ends `State::Full`.
                if self.state == State::BelowMinimum {
                    self.enter(State::Enough, free);
                }
                Ok(())
            }
        }
    }

    /// Records the result of a transaction.
    pub(super) fn record_result(&mut self, result: &Result<(), Error>) {
        match result {
            Ok(()) if self.state == State::Full => {
                self.enter(State::Enough, free_bytes(&self.database));
            }
            Err(Error::DiskFull) => self.enter(State::Full, free_bytes(&self.database)),
            _ => {}
        }
    }

    /// Enters a state. Logs only the first rejection and the recovery, so that a full disk does
    /// not fill the log.
    fn enter(&mut self, state: State, free_bytes: Option<u64>) {
        if self.state == state {
            return;
        }
        let (free_bytes, min_free_bytes) = (free_bytes.unwrap_or_default(), self.min_free_bytes);
        if state == State::Enough {
            tracing::info!(
                free_bytes,
                min_free_bytes,
                "free disk space recovered; accepting writes"
            );
        } else if self.state == State::Enough {
            tracing::error!(
                free_bytes,
                min_free_bytes,
                "the disk of the database is full; rejecting writes until space is freed"
            );
        }
        self.state = state;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn writes_are_rejected_while_less_than_the_minimum_is_free() {
        let directory = TempDir::new().unwrap();
        let file = directory.path().join("microblog.db");
        fs::write(&file, "").unwrap();
        let mut guard = DiskSpaceGuard::new(&file, u64::MAX);

        let below = guard.check();
        guard.min_free_bytes = 1;
        let enough = guard.check();

        assert!(matches!(below, Err(Error::DiskFull)));
        assert!(enough.is_ok() && guard.state == State::Enough);
    }

    #[test]
    fn a_full_disk_counts_as_full_until_a_write_succeeds() {
        let directory = TempDir::new().unwrap();
        let mut guard = DiskSpaceGuard::new(directory.path(), 1);

        guard.record_result(&Err(Error::DiskFull));
        let checked = guard.check();
        let still_full = guard.state == State::Full;
        guard.record_result(&Ok(()));

        assert!(checked.is_ok() && still_full);
        assert_eq!(guard.state, State::Enough);
    }
}
