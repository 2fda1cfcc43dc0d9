//! Users as they travel.

use chassis::pagination;
use proto::{
    timestamp,
    user::v1::{self, ListUsersResponse},
};

use super::decode::page_context;
use crate::{
    error::Error,
    store::{List, Page},
    user::{Role, User},
};

impl From<User> for v1::User {
    fn from(user: User) -> Self {
        Self {
            etag: user.etag().into_string(),
            id: user.id,
            nickname: user.nickname,
            email: user.email,
            role: v1::Role::from(user.role).into(),
            create_time: Some(timestamp::encode(user.create_time)),
            update_time: Some(timestamp::encode(user.update_time)),
        }
    }
}

impl From<Role> for v1::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::User => Self::User,
            Role::Admin => Self::Admin,
        }
    }
}

/// A page, with the token of the next one.
pub(super) fn page(list: &List, page: Page) -> Result<ListUsersResponse, Error> {
    let Page { users, next, total } = page;
    let next_page_token = next
        .map(|cursor| pagination::encode(&page_context(list), &cursor))
        .transpose()
        .map_err(|error| Error::Corrupt(format!("a page token: {error}")))?;
    Ok(ListUsersResponse {
        users: users.into_iter().map(Into::into).collect(),
        next_page_token: next_page_token.unwrap_or_default(),
        total_size: total,
    })
}
