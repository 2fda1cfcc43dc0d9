//! What a user is, and what may be asked about users: types that are parsed once, at the
//! edge, and cannot be wrong afterwards.
//!
//! Nothing here knows how a user is stored or sent.

mod email;
mod nickname;
mod order;

use chassis::serving::etag::Etag;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use self::{
    email::Email,
    nickname::Nickname,
    order::{Field, Order},
};

/// A user account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Positive, or 0 for a user who was only tried.
    pub id: i64,
    /// As people see it.
    pub nickname: String,
    /// As mail is sent to it.
    pub email: String,
    /// What the user may do.
    pub role: Role,
    /// To the microsecond.
    pub create_time: DateTime<Utc>,
    /// To the microsecond.
    pub update_time: DateTime<Utc>,
    /// 1 at first, one more with every change.
    pub revision: i64,
}

impl User {
    /// Tells this state of the user from every other one.
    #[must_use]
    pub fn etag(&self) -> Etag {
        Etag::from_revision(self.revision)
    }
}

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// What everybody may.
    User,
    /// What administrators may.
    Admin,
}

/// The id of a user that there may or may not be: 1 to `i64::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct UserId(i64);

impl UserId {
    /// The id, if a user could have it.
    ///
    /// # Errors
    ///
    /// What is wrong with it, if it is not positive.
    pub fn parse(id: i64) -> Result<Self, String> {
        if id > 0 {
            Ok(Self(id))
        } else {
            Err(format!("{id} is no id; ids are positive"))
        }
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }
}

/// A user to create.
#[derive(Clone, Debug, Serialize)]
pub struct NewUser {
    /// Unique.
    pub nickname: Nickname,
    /// Unique.
    pub email: Email,
    /// What the user will be allowed to do.
    pub role: Role,
}

/// New values for some fields of a user.
#[derive(Clone, Debug, Serialize)]
pub struct UserUpdate {
    /// Which user.
    pub id: UserId,
    /// The state that the user must still be in.
    pub etag: Option<Etag>,
    /// A new nickname.
    pub nickname: Option<Nickname>,
    /// A new address.
    pub email: Option<Email>,
    /// A new role.
    pub role: Option<Role>,
}

impl UserUpdate {
    /// Whether it would leave `user` as it is.
    #[must_use]
    pub fn is_noop(&self, user: &User) -> bool {
        let nickname = self.nickname.as_ref().map(Nickname::as_str);
        let email = self.email.as_ref().map(Email::as_str);
        nickname.is_none_or(|nickname| nickname == user.nickname)
            && email.is_none_or(|email| email == user.email)
            && self.role.is_none_or(|role| role == user.role)
    }
}

/// A user to delete.
#[derive(Clone, Debug, Serialize)]
pub struct UserDeletion {
    /// Which user.
    pub id: UserId,
    /// The state that the user must still be in.
    pub etag: Option<Etag>,
    /// Whether it is fine that there is no such user.
    pub allow_missing: bool,
}

/// One of several changes that are made together.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mutation {
    /// Creates a user.
    Create(NewUser),
    /// Changes one.
    Update(UserUpdate),
    /// Deletes one.
    Delete(UserDeletion),
}

impl Mutation {
    /// Whether it creates a user.
    #[must_use]
    pub fn creates(&self) -> bool {
        matches!(self, Self::Create(_))
    }
}

/// What one user is looked up by.
#[derive(Clone, Debug)]
pub enum LookupKey {
    /// In any letter case.
    Nickname(Nickname),
    /// In any letter case.
    Email(Email),
}

/// Which users are purged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurgeFilter {
    /// All of them.
    All,
    /// Those of one role.
    Role(Role),
}
