//! Tests of the user service over gRPC: every call, and every error of a call.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper that fails is a failed test"
)]

#[path = "../support/mod.rs"]
mod support;

mod batch_get;
mod commit;
mod consistency;
mod create;
mod delete;
mod failures;
mod idempotency;
mod invalid;
mod list;
mod multiple_violations;
mod pagination_property;
mod purge;
mod read;
mod stored_responses;
mod timestamps;
mod update;

use proto::user::v1::{
    CommitUsersRequest, CreateUserRequest, DeleteUserRequest, GetUserRequest, ListUsersRequest,
    ListUsersResponse, UpdateUserRequest, User, UserMutation, user_mutation::Mutation,
};
use support::{System, metadata};
use tonic::{Code, Status};

/// The domain of every ErrorInfo of this service.
const DOMAIN: &str = "microblog.user.v1";

#[track_caller]
fn assert_refused(status: &Status, code: Code, reason: &str) {
    support::assert_refused(DOMAIN, status, code, reason);
}

/// Asserts that exactly these fields are invalid, with the general reason.
#[track_caller]
fn assert_invalid(status: &Status, fields: &[&str]) {
    support::assert_violations(DOMAIN, status, "INVALID_FIELD", fields);
}

/// Asserts that exactly this field is invalid, with a special reason.
#[track_caller]
fn assert_violation(status: &Status, reason: &str, field: &str) {
    support::assert_violations(DOMAIN, status, reason, &[field]);
}

/// Returns a user to create.
fn user(nickname: &str, email: &str) -> User {
    User {
        nickname: nickname.into(),
        email: email.into(),
        ..User::default()
    }
}

/// Returns a user to create, with an address that is derived from the nickname.
fn named(nickname: &str) -> User {
    user(nickname, &format!("{nickname}@example.com"))
}

fn update(user: User, paths: &[&str]) -> UpdateUserRequest {
    UpdateUserRequest {
        user: Some(user),
        update_mask: (!paths.is_empty()).then(|| prost_types::FieldMask {
            paths: paths.iter().map(|&path| path.into()).collect(),
        }),
        validate_only: false,
    }
}

fn delete(id: i64) -> DeleteUserRequest {
    DeleteUserRequest {
        id,
        ..DeleteUserRequest::default()
    }
}

fn commit(mutations: impl IntoIterator<Item = Mutation>) -> CommitUsersRequest {
    let mutations = mutations.into_iter().map(|mutation| UserMutation {
        mutation: Some(mutation),
    });
    CommitUsersRequest {
        mutations: mutations.collect(),
        ..CommitUsersRequest::default()
    }
}

fn nicknames(users: &[User]) -> Vec<&str> {
    users.iter().map(|user| user.nickname.as_str()).collect()
}

/// Starts a system with one user, and returns its stored rows.
async fn with_susan() -> (System, User, Vec<String>) {
    let system = System::start().await;
    let susan = system.create(named("susan")).await.unwrap();
    let stored = system.stored().await;
    (system, susan, stored)
}

/// Calls that take arguments and return results without their messages.
impl System {
    async fn create(&self, user: User) -> Result<User, Status> {
        self.create_by(CreateUserRequest {
            user: Some(user),
            ..CreateUserRequest::default()
        })
        .await
    }

    async fn create_by(&self, request: CreateUserRequest) -> Result<User, Status> {
        let response = self.users().create_user(request).await?;
        Ok(response.into_inner().user.unwrap())
    }

    async fn get(&self, id: i64) -> Result<User, Status> {
        let response = self.users().get_user(GetUserRequest { id }).await?;
        Ok(response.into_inner().user.unwrap())
    }

    async fn update(&self, request: UpdateUserRequest) -> Result<User, Status> {
        let response = self.users().update_user(request).await?;
        Ok(response.into_inner().user.unwrap())
    }

    async fn delete(&self, request: DeleteUserRequest) -> Result<(), Status> {
        self.users().delete_user(request).await.map(drop)
    }

    async fn commit(&self, request: CommitUsersRequest) -> Result<Vec<Option<User>>, Status> {
        let response = self.users().commit_users(request).await?;
        let results = response.into_inner().results;
        Ok(results.into_iter().map(|result| result.user).collect())
    }

    async fn list(&self, request: ListUsersRequest) -> Result<ListUsersResponse, Status> {
        Ok(self.users().list_users(request).await?.into_inner())
    }

    /// Creates users that differ only in their names, in one transaction.
    async fn create_all(&self, names: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<User> {
        let created = names
            .into_iter()
            .map(|name| Mutation::Create(named(name.as_ref())));
        let users = self.commit(commit(created)).await.unwrap();
        users.into_iter().map(Option::unwrap).collect()
    }

    /// Inserts a post of a user.
    async fn post_by(&self, user: &User) {
        let id = user.id;
        self.execute(&format!(
            "insert into posts (body, create_time, update_time, revision, user_id)
            values ('first', 0, 0, 1, {id})"
        ))
        .await;
    }

    /// Returns all rows that the service has stored, to assert that nothing changed.
    async fn stored(&self) -> Vec<String> {
        self.query(
            "select json_array(id, nickname, nickname_key, email, email_key, role, create_time,
                update_time, revision) from users
            union all
            select json_array(id, hex(request_id), hex(fingerprint), result, create_time)
                from user_requests",
        )
        .await
    }
}
