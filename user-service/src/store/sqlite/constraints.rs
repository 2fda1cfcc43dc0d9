//! The constraints that a write can violate, by name.

use chassis::database::WriteError;

use crate::error::Error;

/// A constraint that a write can violate, although its values are valid.
enum Constraint {
    Nickname,
    Email,
    Reference,
}

/// Returns the constraint that was violated, if one was. SQLite names the columns of a unique key,
/// and of a foreign key nothing.
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

/// Returns the refusal of a nickname or an address that another user has.
pub(super) fn taken(error: sqlx::Error, nickname: &str, email: &str) -> WriteError<Error> {
    match violated(&error) {
        Some(Constraint::Nickname) => Error::NicknameTaken(nickname.into()).into(),
        Some(Constraint::Email) => Error::EmailTaken(email.into()).into(),
        _ => WriteError::Database(error),
    }
}

/// Returns the refusal to delete users who have posts.
pub(super) fn referenced(error: sqlx::Error, whom: impl FnOnce() -> String) -> WriteError<Error> {
    match violated(&error) {
        Some(Constraint::Reference) => Error::HasPosts(whom()).into(),
        _ => WriteError::Database(error),
    }
}
