//! Whether this process is the only one that writes what it caches.
//!
//! Everybody who writes it is a member: each holds a shared lock on one file beside the
//! database, and has counted itself there before it wrote anything. Whoever could once take
//! that lock for itself alone, and finds the count unchanged since, knows that nobody else
//! has written, not even one who was frozen or killed.
//!
//! Members come, and look for others, only while they hold the database's own lock for
//! writing: so nobody writes while the locks change, and none of them is waited for.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use super::ffi::SharedNumber;

/// What the name of the file ends with, after that of the database.
const SUFFIX: &str = "-members";

/// Nobody has joined, or somebody who joined is not known to be alone.
const NOT_ALONE: u64 = 0;

/// The view that one process has of all members.
#[derive(Debug)]
pub struct Members {
    path: PathBuf,
    // There once this process has joined, which it does for as long as it lives.
    joined: OnceLock<Joined>,
    // The count at which this process was alone.
    alone_at: AtomicU64,
}

/// What a member holds.
#[derive(Debug)]
struct Joined {
    // With the shared lock on it.
    file: File,
    // How often somebody has joined. Each call that is answered from memory looks at it.
    count: SharedNumber,
}

/// A process is the only member, since some moment: nobody else has written between two
/// moments at which it has two of these that are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sole(u64);

impl Members {
    /// Those who write to `database`, of whom this process is not yet one.
    #[must_use]
    pub fn of(database: &Path) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push(SUFFIX);
        Self {
            path: path.into(),
            joined: OnceLock::new(),
            alone_at: AtomicU64::new(NOT_ALONE),
        }
    }

    /// Joins, or looks whether the others have left. Who calls it holds the lock of the
    /// database for writing, and calls it before each transaction's first change.
    ///
    /// # Errors
    ///
    /// If the file beside the database cannot be made, locked or written: then nothing may
    /// be changed either.
    pub fn attend(&self) -> io::Result<()> {
        if let Some(joined) = self.joined.get() {
            if self.sole().is_none() {
                self.look(&joined.file)?;
            }
            return Ok(());
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.mode(0o600).open(&self.path)?;
        file.try_lock_shared()?;
        let joined = count(&file)?.wrapping_add(1).max(NOT_ALONE + 1);
        file.write_all_at(&joined.to_ne_bytes(), 0)?;
        self.look(&file)?;
        let count = SharedNumber::of(&file)?;
        // Only the writer joins, so there is none yet.
        let _ = self.joined.set(Joined { file, count });
        Ok(())
    }

    /// Whether this process is the only member. That others came it notices at once; that
    /// they left, with its next change.
    #[must_use]
    pub fn sole(&self) -> Option<Sole> {
        let at = self.alone_at.load(Ordering::Acquire);
        if at == NOT_ALONE {
            return None;
        }
        if self.joined.get()?.count.get() == at {
            return Some(Sole(at));
        }
        let _ = self
            .alone_at
            .compare_exchange(at, NOT_ALONE, Ordering::AcqRel, Ordering::Relaxed);
        None
    }

    /// Looks whether there is nobody else. The shared lock is given up for a moment, in which
    /// nobody writes or looks, since this process holds the lock of the database.
    fn look(&self, file: &File) -> io::Result<()> {
        let alone = file.try_lock().is_ok();
        let at = if alone { count(file)? } else { NOT_ALONE };
        file.try_lock_shared()?;
        self.alone_at.store(at, Ordering::Release);
        Ok(())
    }
}

/// How often somebody has joined.
fn count(file: &File) -> io::Result<u64> {
    let mut bytes = [0; 8];
    match file.read_at(&mut bytes, 0)? {
        0 => Ok(0),
        8 => Ok(u64::from_ne_bytes(bytes)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// Two who may write to one database.
    fn two() -> (TempDir, Members, Members) {
        let folder = TempDir::new().unwrap();
        let database = folder.path().join("microblog.db");
        let (one, other) = (Members::of(&database), Members::of(&database));
        (folder, one, other)
    }

    #[test]
    fn nobody_is_alone_before_having_joined() {
        let (_folder, one, _) = two();
        assert_eq!(one.sole(), None);
    }

    #[test]
    fn who_joined_first_is_alone_until_somebody_else_joins() {
        let (_folder, one, other) = two();

        one.attend().unwrap();
        let alone = one.sole();
        one.attend().unwrap();
        let still = one.sole();
        other.attend().unwrap();

        assert!(alone.is_some());
        assert_eq!(still, alone);
        assert_eq!((one.sole(), other.sole()), (None, None));
    }

    #[test]
    fn who_is_left_finds_out_with_the_next_change_and_is_not_alone_as_before() {
        let (_folder, one, other) = two();
        one.attend().unwrap();
        let before = one.sole();

        other.attend().unwrap();
        drop(other);
        let unnoticed = one.sole();
        one.attend().unwrap();
        let after = one.sole();

        assert_eq!(unnoticed, None);
        assert!(after.is_some());
        assert_ne!(after, before);
    }

    #[test]
    fn somebody_who_came_and_left_unseen_is_noticed() {
        let (_folder, one, other) = two();
        one.attend().unwrap();
        let before = one.sole();

        other.attend().unwrap();
        drop(other);
        one.attend().unwrap();

        assert_ne!(one.sole(), before);
    }

    #[test]
    fn two_who_look_in_turn_never_think_that_they_are_alone() {
        let (_folder, one, other) = two();

        for _ in 0..10 {
            one.attend().unwrap();
            other.attend().unwrap();
            assert_eq!((one.sole(), other.sole()), (None, None));
        }
    }

    #[test]
    fn without_a_place_for_the_file_nothing_may_be_changed() {
        let nowhere = Members::of(Path::new("/nowhere/at/all/microblog.db"));

        assert!(nowhere.attend().is_err());
        assert_eq!(nowhere.sole(), None);
    }
}
