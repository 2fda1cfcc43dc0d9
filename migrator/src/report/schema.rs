//! The reports of `dump` and `diff`.

use std::fmt;

use serde::Serialize;

use crate::{
    error::exit::Exit,
    state::{catalog::Difference, database_name::DatabaseName},
};

/// A schema as a script of DDL.
#[derive(Clone, Debug, Serialize)]
pub struct Dump {
    /// The script.
    pub ddl: String,
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.ddl)
    }
}

/// The drift of a live schema: its differences from the schema of its version.
#[derive(Clone, Debug, Serialize)]
pub struct DriftReport {
    /// The database that was inspected.
    pub database: DatabaseName,
    /// The version of the database.
    pub version: i64,
    /// True if any difference was found.
    pub drift: bool,
    /// The objects that are missing, unexpected or different.
    pub differences: Vec<Difference>,
    /// The DDL that would fix the drift; empty without drift.
    pub ddl: String,
}

impl DriftReport {
    /// Returns 4 if the schema drifted.
    #[must_use]
    pub fn exit_code(&self) -> Exit {
        if self.drift { Exit::Drift } else { Exit::Done }
    }
}

/// Prints a valid SQL script: everything except the DDL is in comments.
impl fmt::Display for DriftReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (database, version) = (&self.database, self.version);
        if !self.drift {
            return writeln!(f, "{database} has the schema of version {version}");
        }
        writeln!(
            f,
            "-- {database} does not have the schema of version {version}:"
        )?;
        for difference in &self.differences {
            for line in difference.to_string().lines() {
                writeln!(f, "--   {line}")?;
            }
        }
        if self.ddl.is_empty() {
            return Ok(());
        }
        writeln!(f, "-- This would fix it:\n")?;
        f.write_str(&self.ddl)
    }
}
