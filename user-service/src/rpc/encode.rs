//! Encodes users as messages of the contract.

use chassis::serving::pagination;
use proto::{
    timestamp,
    user::v1::{
        self, BatchGetUsersResponse, CommitUsersResponse, ListUsersResponse, UserMutationResult,
    },
};

use super::decode::page_context;
use crate::{
    error::Error,
    store::{ListQuery, Page},
    user::{Role, User},
};

/// Encodes the users that exist, and the ids of missing users.
pub(super) fn batch(users: Vec<Option<User>>, missing_ids: Vec<i64>) -> BatchGetUsersResponse {
    BatchGetUsersResponse {
        users: users.into_iter().flatten().map(v1::User::from).collect(),
        missing_ids,
    }
}

/// Encodes the result of each mutation. A deletion has no user.
pub(super) fn results(users: Vec<Option<User>>) -> CommitUsersResponse {
    let result = |user: Option<User>| UserMutationResult {
        user: user.map(v1::User::from),
    };
    CommitUsersResponse {
        results: users.into_iter().map(result).collect(),
    }
}

/// Encodes a page, with the token of the next one.
pub(super) fn page(query: &ListQuery, page: Page) -> Result<ListUsersResponse, Error> {
    let Page { users, next, total } = page;
    let next_page_token = next
        .map(|cursor| pagination::encode(&page_context(query), &cursor))
        .transpose()
        .map_err(|error| Error::Corrupt(format!("a page token: {error}")))?;
    Ok(ListUsersResponse {
        users: users.into_iter().map(v1::User::from).collect(),
        next_page_token: next_page_token.unwrap_or_default(),
        total_size: total,
    })
}

impl From<User> for v1::User {
    fn from(user: User) -> Self {
        let etag = user.etag().into_string();
        let User {
            id,
            nickname,
            email,
            role,
            create_time,
            update_time,
            // A part of the etag.
            revision: _,
        } = user;
        Self {
            id,
            nickname,
            email,
            role: v1::Role::from(role).into(),
            create_time: Some(timestamp::encode(create_time)),
            update_time: Some(timestamp::encode(update_time)),
            etag,
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

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use prost::Message;
    use proto::user::v1::GetUserResponse;

    use super::*;

    #[test]
    fn a_user_is_encoded_as_in_the_contract() {
        let time = DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap();
        let user = User {
            id: 7,
            nickname: "susan".into(),
            email: "s@example.com".into(),
            role: Role::Admin,
            create_time: time,
            update_time: time,
            revision: 3,
        };

        let response = GetUserResponse {
            user: Some(user.into()),
        };

        let expected = [
            &b"\x0a\x48\x08\x07\x12\x05susan\x1a\x0ds@example.com\x20\x02"[..],
            b"\x2a\x0b\x08\x80\xe2\xcf\xaa\x06\x10\x80\x94\xef\x3a",
            b"\x32\x0b\x08\x80\xe2\xcf\xaa\x06\x10\x80\x94\xef\x3a",
            b"\x3a\x123-9b7eb075f5ba267a",
        ];
        assert_eq!(response.encode_to_vec(), expected.concat());
    }
}
