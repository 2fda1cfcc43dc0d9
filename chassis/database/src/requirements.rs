//! The requirements of a service on its database.

use crate::AccessPolicy;

/// The requirements of a service on its database.
#[derive(Debug)]
pub struct Requirements {
    /// The access policy of its connections.
    pub access: &'static AccessPolicy,
    /// The oldest version of the schema that the service works with: the number of a migration.
    pub min_schema_version: i64,
    /// Returns every statement of the service, as sqlx recorded it: JSON with a field `query`.
    pub statements: fn() -> Vec<&'static str>,
}
