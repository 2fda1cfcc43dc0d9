//! The guard that rejects calls while the files of the database are not those that were opened.

use tokio::sync::watch;

use super::open_files::{FileChange, OpenFiles};
use crate::Error;

/// A guard over the files of the write connection. Other tasks learn its state from a channel.
#[derive(Debug)]
pub(super) struct FileGuard {
    files: OpenFiles,
    change: Option<FileChange>,
    sender: watch::Sender<bool>,
}

impl FileGuard {
    /// Returns a guard over `files`, which sends to `in_place` whether they are in place.
    pub(super) fn new(files: OpenFiles, in_place: watch::Sender<bool>) -> Self {
        Self {
            files,
            change: None,
            sender: in_place,
        }
    }

    /// Returns whether only a restart helps. Only a database that was moved away may return: its
    /// connections stay open, so the file that returns is certainly the same.
    pub(super) fn needs_restart(&self) -> bool {
        !matches!(self.change, None | Some(FileChange::Missing { .. }))
    }

    /// Compares the files at the paths with the open ones. Takes about 1 µs: three system calls.
    pub(super) fn check(&mut self) -> Result<(), Error> {
        if !self.needs_restart() {
            self.enter(self.files.check().err());
        }
        self.in_place()
    }

    /// Returns an error if a file was not in place at the last check.
    pub(super) fn in_place(&self) -> Result<(), Error> {
        match self.change {
            None => Ok(()),
            Some(_) => Err(Error::Replaced),
        }
    }

    /// Records the files of a connection that was opened again.
    pub(super) fn reopened(&mut self) -> Result<(), Error> {
        let changed = self.files.reopened().err();
        self.enter(changed);
        self.in_place()
    }

    /// Forgets the WAL and its index, when the connection is closed.
    pub(super) fn closed(&mut self) {
        self.files.closed();
    }

    /// Returns whether to copy the commits of the open WAL into the open database.
    pub(super) fn should_checkpoint(&self) -> bool {
        self.files.should_checkpoint()
    }

    /// Enters a state. Logs each change once, not for each call.
    fn enter(&mut self, change: Option<FileChange>) {
        if self.change == change {
            return;
        }
        if let Some(change) = &change {
            tracing::error!(
                %change,
                "the database is not the one that was opened; rejecting all calls"
            );
        } else {
            tracing::info!("the database is back; accepting calls");
        }
        self.sender.send_replace(change.is_none());
        self.change = change;
    }
}
