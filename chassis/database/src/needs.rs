//! The requirements of a service on its database.

use crate::Access;

/// What a service needs of the database.
#[derive(Debug)]
pub struct Needs {
    /// What its connections may touch.
    pub access: &'static Access,
    /// The number of the oldest migration that it works with.
    pub version: i64,
    /// Every statement that it can run, as sqlx recorded them: JSON with a field `query`.
    pub queries: fn() -> Vec<&'static str>,
}
