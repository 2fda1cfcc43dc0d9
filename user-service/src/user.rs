//! The domain types of users. They are parsed once, at the edge, and are always valid.
//!
//! They do not know how a user is stored or sent.

mod email;
mod nickname;
mod order;
mod precis;

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
    /// Positive, or 0 for the user of a dry run.
    pub id: i64,
    /// The nickname, as displayed.
    pub nickname: String,
    /// The email address, as mail is sent to it.
    pub email: String,
    /// The role.
    pub role: Role,
    /// In whole microseconds.
    pub create_time: DateTime<Utc>,
    /// In whole microseconds.
    pub update_time: DateTime<Utc>,
    /// 1 for a new user, and one more after each update.
    pub revision: i64,
}

impl User {
    /// Returns the etag of this state of the user.
    #[must_use]
    pub fn etag(&self) -> Etag {
        let role = match self.role {
            Role::User => b"user".as_slice(),
            Role::Admin => b"admin",
        };
        let content = [self.nickname.as_bytes(), self.email.as_bytes(), role];
        Etag::new(self.revision, &content)
    }
}

/// The role of a user. The services store it and do not enforce it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// An ordinary user.
    User,
    /// An administrator.
    Admin,
}

/// The id of a user, 1 to `i64::MAX`. The user need not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct UserId(i64);

impl UserId {
    /// Parses the id of a user.
    ///
    /// # Errors
    ///
    /// A description for the client if the id is not positive.
    pub fn parse(id: i64) -> Result<Self, String> {
        if id > 0 {
            Ok(Self(id))
        } else {
            Err(format!("{id} is not a valid id; ids are positive"))
        }
    }

    /// Returns the positive id.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }
}

/// A user to create.
#[derive(Clone, Debug, Serialize)]
pub struct NewUser {
    /// The nickname, which no other user may have.
    pub nickname: Nickname,
    /// The email address, which no other user may have.
    pub email: Email,
    /// The role.
    pub role: Role,
}

/// New values for some fields of a user.
#[derive(Clone, Debug, Serialize)]
pub struct UserUpdate {
    /// The id of the user.
    pub id: UserId,
    /// The etag that the stored user must have, if one is given.
    pub etag: Option<Etag>,
    /// The new nickname, or `None` to keep the nickname.
    pub nickname: Option<Nickname>,
    /// The new email address, or `None` to keep the address.
    pub email: Option<Email>,
    /// The new role, or `None` to keep the role.
    pub role: Option<Role>,
}

impl UserUpdate {
    /// Returns whether the update leaves `user` unchanged.
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
    /// The id of the user.
    pub id: UserId,
    /// The etag that the stored user must have, if one is given.
    pub etag: Option<Etag>,
    /// `true` if the deletion of a missing user succeeds.
    pub allow_missing: bool,
}

/// A change in a commit.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mutation {
    /// Creates a user.
    Create(NewUser),
    /// Updates a user.
    Update(UserUpdate),
    /// Deletes a user.
    Delete(UserDeletion),
}

impl Mutation {
    /// Returns whether it creates a user.
    #[must_use]
    pub fn creates(&self) -> bool {
        matches!(self, Self::Create(_))
    }
}

/// The unique key of a lookup.
#[derive(Clone, Debug)]
pub enum LookupKey {
    /// A nickname, in any letter case.
    Nickname(Nickname),
    /// An email address, in any letter case.
    Email(Email),
}

/// The users that a purge deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurgeFilter {
    /// All users.
    All,
    /// The users of one role.
    Role(Role),
}
