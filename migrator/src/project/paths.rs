//! The paths of an owner's files, relative to the project.

/// The owner whose directory is the project itself.
pub(crate) const ROOT: &str = ".";

/// The name of the file with the declared schema of an owner.
pub(crate) const SCHEMA: &str = "schema.sql";

/// Returns the path of a file of an owner.
pub(crate) fn of_owner(owner: &str, file: &str) -> String {
    if owner == ROOT {
        file.to_owned()
    } else {
        format!("{owner}/{file}")
    }
}

/// Returns the path of an owner's `schema.sql`.
pub(crate) fn schema(owner: &str) -> String {
    of_owner(owner, SCHEMA)
}
