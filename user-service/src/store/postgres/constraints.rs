//! Maps violated constraints to errors.

use chassis::database::{WriteError, postgres::constraint};

use crate::error::Error;

/// Returns the error for a nickname or an email address that another user has.
pub(super) fn map_unique_violation(
    error: sqlx::Error,
    nickname: &str,
    email: &str,
) -> WriteError<Error> {
    match constraint(&error) {
        Some("users_nickname_key_key") => Error::NicknameTaken(nickname.into()).into(),
        Some("users_email_key_key") => Error::EmailTaken(email.into()).into(),
        _ => WriteError::Database(error),
    }
}

/// Returns the error for the deletion of users who have posts. PostgreSQL 18 and earlier versions
/// have different codes for the violation, so the name of the constraint decides.
pub(super) fn map_reference_violation(
    error: sqlx::Error,
    users: impl FnOnce() -> String,
) -> WriteError<Error> {
    match constraint(&error) {
        Some("posts_user_id_fkey") => Error::HasPosts(users()).into(),
        _ => WriteError::Database(error),
    }
}
