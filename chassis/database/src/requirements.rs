//! The requirements of a service on its database.

use crate::AccessPolicy;

/// What a service needs of the database.
#[derive(Debug)]
pub struct Requirements {
    /// What its connections may touch.
    pub access: &'static AccessPolicy,
    /// The number of the oldest migration that it works with.
    pub min_schema_version: i64,
    /// Every statement that it can run, as sqlx recorded them: JSON with a field `query`.
    pub statements: fn() -> Vec<&'static str>,
}
