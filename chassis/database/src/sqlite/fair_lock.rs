//! Fair queueing for SQLite's write lock between processes.
//!
//! SQLite's lock has no queue. A busy writer releases it for only some 50 µs between two
//! transactions, which starves the other processes. A process therefore takes an advisory lock
//! (`flock`) on the directory of the database first, and holds it until it has SQLite's lock. The
//! advisory lock only provides fairness; SQLite's lock protects the data. If the holder makes no
//! progress for [`MAX_DEFERENCE`], such as a suspended process, the others bypass it.
//!
//! The lock of a directory needs no lock file, and ends with its process.

use std::{fs::File, path::Path, thread, time::Duration};

use tokio::{task::spawn_blocking, time::Instant};

/// The longest time that a process defers to the holder. A holder that is not suspended needs no
/// longer than one transaction takes.
const MAX_DEFERENCE: Duration = Duration::from_millis(100);

/// The time that a process bypasses the lock after a holder exceeded [`MAX_DEFERENCE`].
const BYPASS_FOR: Duration = Duration::from_secs(1);

/// The first and the longest pause between two attempts. A timer of the runtime has no pauses of
/// less than a millisecond, which would leave the database idle between two transactions.
const MIN_BACKOFF: Duration = Duration::from_micros(50);
const MAX_BACKOFF: Duration = Duration::from_micros(800);

/// The fair lock of one database, as one process sees it.
#[derive(Debug)]
pub struct FairLock {
    // `None` if the directory cannot be opened: then the process never defers.
    directory: Option<File>,
    bypass_until: Option<Instant>,
}

/// A process's attempt to acquire SQLite's lock in its turn. Dropping it releases the fair lock.
#[derive(Debug)]
pub struct Acquire<'a> {
    lock: &'a mut FairLock,
    since: Instant,
    held: bool,
    backoff: Duration,
}

impl FairLock {
    /// Returns the lock of the database at this path.
    #[must_use]
    pub fn new(database: &Path) -> Self {
        let directory = match database.parent() {
            Some(directory) if directory.as_os_str().is_empty() => Path::new("."),
            Some(directory) => directory,
            None => database,
        };
        Self {
            directory: File::open(directory).ok(),
            bypass_until: None,
        }
    }

    /// Starts an attempt to acquire the lock.
    pub fn acquire(&mut self) -> Acquire<'_> {
        Acquire {
            lock: self,
            since: Instant::now(),
            held: false,
            backoff: MIN_BACKOFF,
        }
    }
}

impl Acquire<'_> {
    /// Returns whether the process may try to take SQLite's lock now: it holds the fair lock, or
    /// bypasses it.
    pub fn try_acquire(&mut self) -> bool {
        let Some(directory) = &self.lock.directory else {
            return true;
        };
        let bypass_until = self.lock.bypass_until;
        if self.held || bypass_until.is_some_and(|until| self.since < until) {
            return true;
        }
        self.held = directory.try_lock().is_ok();
        if !self.held && self.since.elapsed() >= MAX_DEFERENCE {
            self.lock.bypass_until = Some(Instant::now() + BYPASS_FOR);
            return true;
        }
        self.held
    }

    /// Pauses before the next attempt. Each pause is longer than the one before, up to
    /// [`MAX_BACKOFF`].
    pub async fn pause(&mut self) {
        let backoff = self.backoff;
        self.backoff = (backoff * 2).min(MAX_BACKOFF);
        // It fails only if the runtime ends, and this task with it.
        let _ = spawn_blocking(move || thread::sleep(backoff)).await;
    }
}

impl Drop for Acquire<'_> {
    fn drop(&mut self) {
        if let (true, Some(directory)) = (self.held, &self.lock.directory)
            && directory.unlock().is_err()
        {
            // Closing the file releases the lock.
            self.lock.directory = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn locks() -> (TempDir, FairLock, FairLock) {
        let directory = TempDir::new().unwrap();
        let database = directory.path().join("microblog.db");
        let (one, other) = (FairLock::new(&database), FairLock::new(&database));
        (directory, one, other)
    }

    #[tokio::test]
    async fn one_of_two_processes_holds_the_lock_until_it_releases_it() {
        let (_directory, mut one, mut other) = locks();
        let mut first = one.acquire();
        let mut second = other.acquire();

        assert!(first.try_acquire());
        assert!(!second.try_acquire());
        drop(first);
        assert!(second.try_acquire());

        // The first process now waits for the second one.
        assert!(!one.acquire().try_acquire());
    }

    #[tokio::test]
    async fn a_holder_that_makes_no_progress_is_bypassed() {
        let (_directory, mut frozen, mut other) = locks();
        let mut next = frozen.acquire();
        assert!(next.try_acquire());

        let mut waiting = other.acquire();
        let started = Instant::now();
        while !waiting.try_acquire() {
            waiting.pause().await;
        }
        drop(waiting);

        assert!(started.elapsed() >= MAX_DEFERENCE);
        // The next attempt bypasses the lock without a wait.
        assert!(other.acquire().try_acquire());
    }

    #[tokio::test]
    async fn without_a_directory_the_lock_is_always_acquired() {
        let nowhere = Path::new("/nowhere/at/all/microblog.db");
        let (mut one, mut other) = (FairLock::new(nowhere), FairLock::new(nowhere));

        assert!(one.acquire().try_acquire());
        assert!(other.acquire().try_acquire());
    }
}
