//! Lists the backups of a directory for people and for programs. Reads their manifests, and
//! opens no backup.

use std::{fmt, path::PathBuf};

use serde::Serialize;

use super::{Backups, error::Error, manifest::Manifest, retention};
use crate::report::format::write_table;

/// The backups of a directory.
#[derive(Clone, Debug, Serialize)]
pub struct Listing {
    /// The directory.
    pub folder: PathBuf,
    /// The backups, newest first.
    pub backups: Vec<ListedBackup>,
}

/// A backup as its name and its manifest describe it.
#[derive(Clone, Debug, Serialize)]
pub struct ListedBackup {
    /// The file.
    pub path: PathBuf,
    /// The time of the backup: RFC 3339, UTC. `None` without a manifest.
    pub when: Option<String>,
    /// The schema version. `None` without a manifest.
    pub version: Option<i64>,
    /// The current length of the file.
    pub bytes: u64,
    /// The reason for the backup. `None` without a manifest.
    pub why: Option<String>,
    /// The state of the file.
    pub state: BackupState,
}

/// The state of a backup, as far as the file need not be read for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupState {
    /// It was compared with the database, and its length is unchanged.
    Verified,
    /// It is a page copy of a damaged database.
    Damaged,
    /// Its manifest is missing or unreadable.
    #[serde(rename = "no_record")]
    NoManifest,
    /// Its length differs from that in its manifest.
    SizeDiffers,
}

impl BackupState {
    /// Returns the text for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Damaged => "damaged",
            Self::NoManifest => "no manifest",
            Self::SizeDiffers => "size differs",
        }
    }
}

pub(super) fn list(backups: &Backups) -> Result<Listing, Error> {
    let found = retention::backups(&backups.folder, &backups.stem)?;
    Ok(Listing {
        folder: backups.folder.clone(),
        backups: found.into_iter().filter_map(describe).collect(),
    })
}

/// Describes one backup, or returns `None` if it was removed in the meantime.
fn describe(path: PathBuf) -> Option<ListedBackup> {
    let bytes = path.symlink_metadata().ok()?.len();
    let manifest = Manifest::read(&path).unwrap_or_else(|error| {
        tracing::debug!(%error, "manifest cannot be read");
        None
    });
    let state = match &manifest {
        None => BackupState::NoManifest,
        Some(manifest) if manifest.bytes != bytes => BackupState::SizeDiffers,
        Some(manifest) if !manifest.verified => BackupState::Damaged,
        Some(_) => BackupState::Verified,
    };
    let (when, version, why) = match manifest {
        Some(manifest) => (
            Some(manifest.when),
            Some(manifest.version),
            Some(manifest.why),
        ),
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
