//! The snapshot that the inline reads of a burst share.
//!
//! Beginning and ending a snapshot takes SQLite several times as long as finding a row by its key. So
//! the calls of a burst share one snapshot. Every call of a burst arrives before the snapshot
//! begins, so no call misses a change that was committed before it arrived.

use std::{cell::RefCell, sync::Arc};

use process::burst;

use super::{InlineConnection, InlineReaders};

thread_local! {
    /// The connection with the snapshot of this thread's burst, and its pool. `None` outside a burst,
    /// before the first read, and during a read.
    static SHARED: RefCell<Option<(Arc<InlineReaders>, InlineConnection)>> = const { RefCell::new(None) };
}

/// Ends the shared snapshot.
fn end() {
    if let Some((readers, reader)) = SHARED.take()
        && reader.end().is_ok()
    {
        readers.give_back(reader);
    }
}

impl InlineReaders {
    /// Takes the connection with the shared snapshot, or another one outside a burst. The first read
    /// of a burst begins the snapshot, which ends with the burst.
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

    /// Returns the connection after the read.
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

    /// Returns a database, a connection that writes to it, and inline readers.
    fn database() -> (TempDir, Connection, Arc<InlineReaders>) {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("a.db");
        let writer = Connection::open(&path).unwrap();
        writer
            .execute_batch("pragma journal_mode = wal; create table a (id integer primary key)")
            .unwrap();
        (
            directory,
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
    fn reads_of_a_burst_share_the_snapshot_of_its_first_read() {
        let (_directory, writer, readers) = database();
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
    fn reads_outside_a_burst_share_no_snapshot() {
        let (_directory, writer, readers) = database();

        let before = count(&readers);
        insert(&writer);

        assert_eq!((before, count(&readers)), (0, 1));
    }

    #[test]
    fn the_data_version_changes_with_commits_except_in_a_snapshot() {
        let (_directory, writer, readers) = database();
        let version = || readers.version().unwrap();

        let first = version();
        assert_eq!(version(), first);
        let seen = burst::run(|| {
            let before = version();
            insert(&writer);
            (before, version(), count(&readers))
        });
        let second = version();
        // A rollback does not change the version.
        writer
            .execute_batch("begin; insert into a default values; rollback")
            .unwrap();

        assert_eq!(seen, (first, first, 0));
        assert_ne!(second, first);
        assert_eq!(version(), second);
        assert_eq!(burst::run(version), second);
    }

    #[test]
    fn data_versions_of_two_connections_are_never_equal() {
        let (_directory, _writer, readers) = database();

        let one = readers.take().unwrap().unwrap();
        let other = readers.take().unwrap().unwrap();

        assert_ne!(one.version().unwrap(), other.version().unwrap());
    }

    #[test]
    fn a_caller_cannot_execute_internal_statements() {
        let (_directory, _writer, readers) = database();

        for statement in ["pragma data_version", "begin"] {
            let read = readers.read(statement, &[], |_| Ok(()));

            assert!(read.is_none(), "{statement}");
        }
    }

    #[test]
    fn databases_do_not_share_snapshots() {
        let (_directory, writer, readers) = database();
        let (_other_directory, _, other) = database();
        insert(&writer);

        let counts = burst::run(|| [&readers, &other, &readers].map(count));

        assert_eq!(counts, [1, 0, 1]);
    }

    #[test]
    fn a_panic_ends_the_shared_snapshot() {
        let (_directory, writer, readers) = database();

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
