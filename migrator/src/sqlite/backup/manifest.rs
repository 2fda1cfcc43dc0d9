//! The manifest of a backup: when, why and from which database it was made, and its hash. Knows
//! no SQL.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::Path,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    error::Error,
    files::{manifest_path, open_regular},
    summary::Summary,
};
use crate::state::catalog::hex;

/// The JSON file beside a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The time of the backup: RFC 3339, UTC.
    pub when: String,
    /// The reason for the backup, such as `upgrade from 2 to 3`.
    pub why: String,
    /// The path of the database.
    pub database: String,
    /// The number of the newest applied migration.
    pub version: i64,
    /// The length of the file.
    pub bytes: u64,
    /// The SHA-256 of the file, in hexadecimal digits.
    pub sha256: String,
    /// True if the backup was compared with the database. A damaged database is copied page by
    /// page and cannot be compared.
    pub verified: bool,
    /// The SHA-256 of the schema; empty if it was not compared.
    pub schema: String,
    /// The number of rows of each table; empty if it was not compared.
    pub rows: BTreeMap<String, i64>,
    /// The version of SQLite that wrote the backup.
    pub sqlite: String,
}

impl Manifest {
    /// Reads the manifest of a backup, if it has one.
    pub(super) fn read(backup: &Path) -> Result<Option<Self>, Error> {
        let file = manifest_path(backup);
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::InvalidManifest {
            file: file.clone(),
            source,
        };
        let mut json = Vec::new();
        match open_regular(&file).and_then(|mut file| file.read_to_end(&mut json)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error.into())),
            Ok(_) => match serde_json::from_slice(&json) {
                Ok(record) => Ok(Some(record)),
                Err(error) => Err(failed(error.into())),
            },
        }
    }

    /// Adds the verified summary.
    pub(super) fn with_summary(self, summary: Summary) -> Self {
        Self {
            version: summary.version,
            verified: true,
            schema: summary.schema,
            rows: summary.rows,
            ..self
        }
    }

    /// Returns the content of the file.
    pub(super) fn to_json(&self) -> Vec<u8> {
        // Strings, numbers and maps of them always serialize.
        let mut json = serde_json::to_vec_pretty(self).unwrap_or_default();
        json.push(b'\n');
        json
    }
}

/// Returns the length and the SHA-256 of a file.
pub(super) fn length_and_sha256(file: &Path) -> io::Result<(u64, String)> {
    const CHUNK: usize = 1 << 20; // bytes

    let mut file = File::open(file)?;
    let mut hash = Sha256::new();
    let mut bytes = 0;
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok((bytes, hex(&hash.finalize()))),
            read => {
                hash.update(&chunk[..read]);
                bytes += read as u64;
            }
        }
    }
}
