//! Short reads of several calls in one snapshot.
//!
//! To begin and to end a snapshot takes SQLite several times as long as to find a row by its
//! key. Calls that one thread handles one after the other without a pause share one, then: each
//! of them had come before it began, so none can miss what was committed before it was asked.

use std::{cell::RefCell, sync::Arc};

use process::burst;

use super::{InlineConnection, InlineReaders};

thread_local! {
    /// The connection whose snapshot the reads of this thread's burst share, and where it
    /// comes from. `None` outside of a burst, before its first read, and during a read.
    static SHARED: RefCell<Option<(Arc<InlineReaders>, InlineConnection)>> = const { RefCell::new(None) };
}

/// Ends the snapshot that is shared.
fn end() {
    if let Some((readers, reader)) = SHARED.take()
        && reader.end().is_ok()
    {
        readers.give_back(reader);
    }
}

impl InlineReaders {
    /// A connection for a read: that of the snapshot that is shared, if there is one. The first
    /// read of a burst begins the snapshot, which ends with the burst.
    pub(super) fn take_shared(self: &Arc<Self>) -> rusqlite::Result<Option<InlineConnection>> {
        match SHARED.take() {
            Some((readers, reader)) if Arc::ptr_eq(&readers, self) => Ok(Some(reader)),
            None if burst::at_end(end) => {
                let reader = self.take()?;
                if let Some(reader) = &reader {
                    reader.begin()?;
                }
                Ok(reader)
            }
            other => {
                SHARED.set(other);
                self.take()
            }
        }
    }

    /// Gives a connection back after such a read.
    pub(super) fn give_back_shared(self: &Arc<Self>, reader: InlineConnection) {
        if reader.has_begun() {
            SHARED.set(Some((Arc::clone(self), reader)));
        } else {
            self.give_back(reader);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use rusqlite::Connection;
    use tempfile::TempDir;

    use super::*;

    use crate::AccessPolicy;

    static ACCESS: AccessPolicy = AccessPolicy {
        owned_tables: &["a"],
        readable_columns: &[],
    };

    /// A database, a connection that writes to it, and those that read it.
    fn place() -> (TempDir, Connection, Arc<InlineReaders>) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a.db");
        let writer = Connection::open(&path).unwrap();
        writer
            .execute_batch("pragma journal_mode = wal; create table a (id integer primary key)")
            .unwrap();
        (
            folder,
            writer,
            Arc::new(InlineReaders::new(path, &ACCESS, true)),
        )
    }

    fn insert(writer: &Connection) {
        writer.execute("insert into a default values", []).unwrap();
    }

    fn count(readers: &Arc<InlineReaders>) -> i64 {
        let counted = readers.read("select count(*) from a", &[], |row| {
            let count = row.integer()?;
            Ok(count)
        });
        counted.unwrap()[0]
    }

    #[test]
    fn reads_that_share_see_what_the_first_of_them_saw_until_the_steps_end() {
        let (_folder, writer, readers) = place();
        insert(&writer);

        let seen = burst::run(|| {
            let first = count(&readers);
            insert(&writer);
            (first, count(&readers))
        });
        let afterwards = count(&readers);

        assert_eq!(seen, (1, 1));
        assert_eq!(afterwards, 2);
    }

    #[test]
    fn without_steps_that_are_taken_together_nothing_is_shared() {
        let (_folder, writer, readers) = place();

        let before = count(&readers);
        insert(&writer);

        assert_eq!((before, count(&readers)), (0, 1));
    }

    #[test]
    fn a_version_lasts_until_anything_is_committed_and_for_all_of_a_snapshot() {
        let (_folder, writer, readers) = place();
        let version = || readers.version().unwrap();

        let first = version();
        assert_eq!(version(), first);
        let seen = burst::run(|| {
            let before = version();
            insert(&writer);
            (before, version(), count(&readers))
        });
        let second = version();
        // Undone, it was never there.
        writer
            .execute_batch("begin; insert into a default values; rollback")
            .unwrap();

        assert_eq!(seen, (first, first, 0));
        assert_ne!(second, first);
        assert_eq!(version(), second);
        assert_eq!(burst::run(version), second);
    }

    #[test]
    fn versions_of_two_connections_are_never_the_same() {
        let (_folder, _writer, readers) = place();

        let one = readers.take().unwrap().unwrap();
        let other = readers.take().unwrap().unwrap();

        assert_ne!(one.version().unwrap(), other.version().unwrap());
    }

    #[test]
    fn a_caller_can_ask_for_no_version_and_no_transaction() {
        let (_folder, _writer, readers) = place();

        for statement in ["pragma data_version", "begin"] {
            let read = readers.read(statement, &[], |_| Ok(()));

            assert!(read.is_none(), "{statement}");
        }
    }

    #[test]
    fn one_database_has_nothing_to_share_with_another() {
        let (_folder, writer, readers) = place();
        let (_other_folder, _, other) = place();
        insert(&writer);

        let counts = burst::run(|| [&readers, &other, &readers].map(count));

        assert_eq!(counts, [1, 0, 1]);
    }

    #[test]
    fn a_step_that_panics_leaves_no_snapshot_behind() {
        let (_folder, writer, readers) = place();

        let panicked = catch_unwind(|| {
            burst::run(|| {
                count(&readers);
                panic!("a deliberate panic");
            })
        });
        insert(&writer);

        assert!(panicked.is_err());
        assert_eq!(count(&readers), 1);
        assert!(!readers.take().unwrap().unwrap().has_begun());
    }
}
