//! Users as they travel. The numbers are those of the fields in the contract.

use chassis::serving::pagination;
use proto::{
    Encoded, Fields,
    user::v1::{self, BatchGetUsersResponse, CommitUsersResponse, ListUsersResponse},
};

use super::decode::page_context;
use crate::{
    error::Error,
    store::{List, Page},
    user::{Role, User},
};

/// About how many bytes a user takes.
const USER: usize = 160;

/// An answer that has one user, which in all of them is the first field.
pub(super) fn one<M>(user: &User) -> Encoded<M> {
    Encoded::new(USER, |fields| {
        fields.message(1, |fields| write(fields, user));
    })
}

/// Users who were asked for by id, and the ids of those who are not there.
pub(super) fn batch(
    users: &[Option<User>],
    missing_ids: impl Iterator<Item = i64>,
) -> Encoded<BatchGetUsersResponse> {
    Encoded::new(users.len() * USER, |fields| {
        for user in users.iter().flatten() {
            fields.message(1, |fields| write(fields, user));
        }
        fields.repeated_int64(2, missing_ids);
    })
}

/// What each of several changes made of its user.
pub(super) fn results(users: &[Option<User>]) -> Encoded<CommitUsersResponse> {
    Encoded::new(users.len() * USER, |fields| {
        for user in users {
            fields.message(1, |fields| {
                if let Some(user) = user {
                    fields.message(1, |fields| write(fields, user));
                }
            });
        }
    })
}

/// A page, with the token of the next one.
pub(super) fn page(list: &List, page: &Page) -> Result<Encoded<ListUsersResponse>, Error> {
    let Page { users, next, total } = page;
    let next_page_token = next
        .as_ref()
        .map(|cursor| pagination::encode(&page_context(list), cursor))
        .transpose()
        .map_err(|error| Error::Corrupt(format!("a page token: {error}")))?;
    Ok(Encoded::new(users.len() * USER, |fields| {
        for user in users {
            fields.message(1, |fields| write(fields, user));
        }
        fields.string(2, &next_page_token.unwrap_or_default());
        fields.optional_int64(3, *total);
    }))
}

/// The fields of a user.
fn write(fields: &mut Fields, user: &User) {
    let User {
        id,
        nickname,
        email,
        role,
        create_time,
        update_time,
        revision: _,
    } = user;
    fields.int64(1, *id);
    fields.string(2, nickname);
    fields.string(3, email);
    fields.enumeration(4, v1::Role::from(*role));
    fields.timestamp(5, *create_time);
    fields.timestamp(6, *update_time);
    fields.string(7, user.etag().as_str());
}

impl From<Role> for v1::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::User => Self::User,
            Role::Admin => Self::Admin,
        }
    }
}
