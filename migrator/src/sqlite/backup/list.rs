//! The backups of a folder, for people and for programs. Reads their records, and opens
//! none of them.

use std::{fmt, fs, path::PathBuf};

use serde::Serialize;

use super::{Backups, error::Error, manifest::Manifest, retention};
use crate::report::format::write_table;

/// The backups of a folder.
#[derive(Clone, Debug, Serialize)]
pub struct Listing {
    /// The folder.
    pub folder: PathBuf,
    /// The newest first.
    pub backups: Vec<ListedBackup>,
}

/// A backup as its name and its record have it.
#[derive(Clone, Debug, Serialize)]
pub struct ListedBackup {
    /// Where it is.
    pub path: PathBuf,
    /// When it was taken: RFC 3339, UTC. `None` without a record, as the rest.
    pub when: Option<String>,
    /// The version of the database.
    pub version: Option<i64>,
    /// The length of the file, as it is now.
    pub bytes: u64,
    /// What for.
    pub why: Option<String>,
    /// What can be said of it without reading it.
    pub state: BackupState,
}

/// What can be said of a backup without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupState {
    /// It was compared with the database, and is as long as it was then.
    Verified,
    /// It is a copy of a damaged database.
    Damaged,
    /// Nothing stands beside it, or nothing that can be read.
    NoRecord,
    /// It is not as long as it was.
    SizeDiffers,
}

impl BackupState {
    /// For people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Damaged => "damaged",
            Self::NoRecord => "no record",
            Self::SizeDiffers => "size differs",
        }
    }
}

pub(super) fn list(backups: &Backups) -> Result<Listing, Error> {
    let found = retention::backups(&backups.folder, &backups.stem)?;
    Ok(Listing {
        folder: backups.folder.clone(),
        backups: found.into_iter().filter_map(look).collect(),
    })
}

/// `None` if it has been removed meanwhile.
fn look(path: PathBuf) -> Option<ListedBackup> {
    let bytes = fs::metadata(&path).ok()?.len();
    let record = Manifest::read(&path).unwrap_or_else(|error| {
        tracing::debug!(%error, "a record cannot be read");
        None
    });
    let state = match &record {
        None => BackupState::NoRecord,
        Some(record) if record.bytes != bytes => BackupState::SizeDiffers,
        Some(record) if !record.verified => BackupState::Damaged,
        Some(_) => BackupState::Verified,
    };
    let (when, version, why) = match record {
        Some(record) => (Some(record.when), Some(record.version), Some(record.why)),
        None => (None, None, None),
    };
    Some(ListedBackup {
        path,
        when,
        version,
        bytes,
        why,
        state,
    })
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.backups.is_empty() {
            return writeln!(f, "No backups in {}", self.folder.display());
        }
        writeln!(f, "Backups in {}:\n", self.folder.display())?;
        let mut rows = vec![["name", "when", "version", "bytes", "state", "why"].map(String::from)];
        for backup in &self.backups {
            let name = backup.path.file_name().unwrap_or_default();
            let version = backup.version.map(|version| version.to_string());
            rows.push([
                name.to_string_lossy().into_owned(),
                backup.when.clone().unwrap_or_else(unknown),
                version.unwrap_or_else(unknown),
                backup.bytes.to_string(),
                backup.state.word().to_owned(),
                backup.why.clone().unwrap_or_else(unknown),
            ]);
        }
        write_table(f, &rows)
    }
}

fn unknown() -> String {
    "unknown".into()
}
