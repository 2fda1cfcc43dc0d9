//! Whose turn it is among the processes that write to one database.
//!
//! SQLite has no queue for its lock, which a busy writer leaves free for some 50 µs between
//! two transactions: others would have to be lucky. So whoever is next holds a lock of its
//! own until it has SQLite's, and a writer that has just ended has to get behind it. It is
//! a courtesy: SQLite's lock is what protects the data, and nobody waits long for one who
//! is next and does nothing, frozen perhaps.
//!
//! The lock is one of the operating system, on the folder of the database: there is no file
//! to be made or left behind, and it is gone with its process.

use std::{fs::File, path::Path, thread, time::Duration};

use tokio::{task::spawn_blocking, time::Instant};

/// How long one waits for another who is next. That one waits no longer than a transaction
/// takes, unless it is frozen.
const COURTESY: Duration = Duration::from_millis(100);

/// How long nobody waits for a turn after one did not come.
const DISCOURTESY: Duration = Duration::from_secs(1);

/// Between two attempts: at first, and at most. A timer of the runtime has no pauses of
/// less than a millisecond, which would leave the database idle between two turns.
const SHORTEST: Duration = Duration::from_micros(50);
const LONGEST: Duration = Duration::from_micros(800);

/// A writer's view of whose turn it is.
#[derive(Debug)]
pub(super) struct Turn {
    // None if the folder cannot be opened: then one has to be lucky.
    folder: Option<File>,
    discourteous_until: Option<Instant>,
}

/// One writer's wait for its turn, which ends when it is dropped.
#[derive(Debug)]
pub(super) struct Waiting<'a> {
    turn: &'a mut Turn,
    since: Instant,
    next: bool,
    pause: Duration,
}

impl Turn {
    /// The turns of those who write to `database`.
    pub(super) fn of(database: &Path) -> Self {
        let folder = match database.parent() {
            Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
            Some(folder) => folder,
            None => database,
        };
        Self {
            folder: File::open(folder).ok(),
            discourteous_until: None,
        }
    }

    /// Begins to wait.
    pub(super) fn wait(&mut self) -> Waiting<'_> {
        Waiting {
            turn: self,
            since: Instant::now(),
            next: false,
            pause: SHORTEST,
        }
    }
}

impl Waiting<'_> {
    /// Whether it is this writer's turn to try for the database's lock.
    pub(super) fn has_come(&mut self) -> bool {
        let Some(folder) = &self.turn.folder else {
            return true;
        };
        if self.next
            || self
                .turn
                .discourteous_until
                .is_some_and(|until| self.since < until)
        {
            return true;
        }
        self.next = folder.try_lock().is_ok();
        if !self.next && self.since.elapsed() >= COURTESY {
            self.turn.discourteous_until = Some(Instant::now() + DISCOURTESY);
            return true;
        }
        self.next
    }

    fn let_go(&mut self) {
        if let (true, Some(folder)) = (self.next, &self.turn.folder) {
            // A lock that cannot be given back goes with the file.
            if folder.unlock().is_err() {
                self.turn.folder = None;
            }
        }
        self.next = false;
    }

    /// Pauses before the next attempt, each time a little longer: somebody else has the
    /// database's lock.
    pub(super) async fn pause(&mut self) {
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST);
        // It fails only if the runtime ends, and this task with it.
        let _ = spawn_blocking(move || thread::sleep(pause)).await;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.let_go();
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn turns() -> (TempDir, Turn, Turn) {
        let folder = TempDir::new().unwrap();
        let database = folder.path().join("microblog.db");
        let (one, other) = (Turn::of(&database), Turn::of(&database));
        (folder, one, other)
    }

    #[tokio::test]
    async fn one_of_two_is_next_until_it_has_what_it_waits_for() {
        let (_folder, mut one, mut other) = turns();
        let mut first = one.wait();
        let mut second = other.wait();

        assert!(first.has_come());
        assert!(!second.has_come());
        drop(first);
        assert!(second.has_come());

        // Who comes back gets behind the one who waited.
        assert!(!one.wait().has_come());
    }

    #[tokio::test]
    async fn nobody_waits_long_for_one_who_is_next_and_does_nothing() {
        let (_folder, mut frozen, mut other) = turns();
        let mut next = frozen.wait();
        assert!(next.has_come());

        let mut waiting = other.wait();
        let begun = Instant::now();
        while !waiting.has_come() {
            waiting.pause().await;
        }
        drop(waiting);

        assert!(begun.elapsed() >= COURTESY);
        // And once that is known, not at all.
        assert!(other.wait().has_come());
    }

    #[tokio::test]
    async fn without_a_folder_it_is_always_ones_turn() {
        let nowhere = Path::new("/nowhere/at/all/microblog.db");
        let (mut one, mut other) = (Turn::of(nowhere), Turn::of(nowhere));

        assert!(one.wait().has_come());
        assert!(other.wait().has_come());
    }
}
