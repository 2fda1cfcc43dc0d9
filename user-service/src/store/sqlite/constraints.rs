//! Maps violated constraints to errors.

use chassis::database::WriteError;

use crate::error::Error;

/// A constraint that a write with valid values can violate.
enum Constraint {
    Nickname,
    Email,
    Reference,
}

/// Returns the violated constraint, if the error is a violation. SQLite names the columns of a
/// unique key, but not a foreign key.
fn violated(error: &sqlx::Error) -> Option<Constraint> {
    let error = error.as_database_error()?;
    if error.is_unique_violation() {
        let message = error.message();
        return if message.ends_with("users.nickname_key") {
            Some(Constraint::Nickname)
        } else if message.ends_with("users.email_key") {
            Some(Constraint::Email)
        } else {
            None
        };
    }
    // SQLITE_CONSTRAINT_FOREIGNKEY and, for RESTRICT, SQLITE_CONSTRAINT_TRIGGER.
    matches!(error.code().as_deref(), Some("787" | "1811")).then_some(Constraint::Reference)
}

/// Returns the error for a nickname or an email address that another user has.
pub(super) fn map_unique_violation(
    error: sqlx::Error,
    nickname: &str,
    email: &str,
) -> WriteError<Error> {
    match violated(&error) {
        Some(Constraint::Nickname) => Error::NicknameTaken(nickname.into()).into(),
        Some(Constraint::Email) => Error::EmailTaken(email.into()).into(),
        _ => WriteError::Database(error),
    }
}

/// Returns the error for the deletion of users who have posts.
pub(super) fn map_reference_violation(
    error: sqlx::Error,
    users: impl FnOnce() -> String,
) -> WriteError<Error> {
    match violated(&error) {
        Some(Constraint::Reference) => Error::HasPosts(users()).into(),
        _ => WriteError::Database(error),
    }
}
