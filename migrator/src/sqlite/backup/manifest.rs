//! What stands beside a backup: when, why and of what it was made, and how to know it
//! again. Knows no SQL.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{error::Error, files::manifest_path, summary::Summary};
use crate::state::catalog::hex;

/// What stands beside a backup, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// When it was taken: RFC 3339, UTC.
    pub when: String,
    /// What for, such as `upgrade from 2 to 3`.
    pub why: String,
    /// The path of the database that it is of.
    pub database: String,
    /// The newest migration that was applied.
    pub version: i64,
    /// The length of the file.
    pub bytes: u64,
    /// The hash of the file, in hexadecimal digits.
    pub sha256: String,
    /// Whether it was compared with the database. One of a damaged database cannot be: it
    /// is a copy page by page, for those who want to recover something from it.
    pub verified: bool,
    /// The hash of its schema; empty if it was not compared.
    pub schema: String,
    /// How many rows each table has; empty if it was not compared.
    pub rows: BTreeMap<String, i64>,
    /// The version of SQLite that wrote it.
    pub sqlite: String,
}

impl Manifest {
    /// The record of a backup, if it has one.
    pub(super) fn read(backup: &Path) -> Result<Option<Self>, Error> {
        let file = manifest_path(backup);
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::InvalidManifest {
            file: file.clone(),
            source,
        };
        match fs::read(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error.into())),
            Ok(json) => match serde_json::from_slice(&json) {
                Ok(record) => Ok(Some(record)),
                Err(error) => Err(failed(error.into())),
            },
        }
    }

    /// With the facts that were compared.
    pub(super) fn with_summary(self, summary: Summary) -> Self {
        Self {
            version: summary.version,
            verified: true,
            schema: summary.schema,
            rows: summary.rows,
            ..self
        }
    }

    /// As it is written.
    pub(super) fn to_json(&self) -> Vec<u8> {
        // Texts, numbers and maps of them always are JSON.
        let mut json = serde_json::to_vec_pretty(self).unwrap_or_default();
        json.push(b'\n');
        json
    }
}

/// The length and the hash of a file.
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
