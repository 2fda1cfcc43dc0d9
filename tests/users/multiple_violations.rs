//! Requests with several violations: the error reports all of them, and nothing is stored.

use proto::user::v1::{
    BatchGetUsersRequest, CommitUsersRequest, CreateUserRequest, ListUsersRequest,
    UpdateUserRequest, User, user_mutation::Mutation,
};
use tonic::Status;

use super::{assert_invalid, commit, delete, metadata, named, update, user, with_susan};
use crate::support::System;

async fn batch_get(system: &System, ids: Vec<i64>) -> Status {
    let request = BatchGetUsersRequest {
        ids,
        allow_missing: true,
    };
    system.users().batch_get_users(request).await.unwrap_err()
}

/// Returns the creations of 1001 distinct users.
fn too_many() -> Vec<Mutation> {
    (0..1001)
        .map(|n| Mutation::Create(named(&format!("user{n}"))))
        .collect()
}

#[tokio::test]
async fn a_batch_has_1_to_1000_items() {
    let (system, _, stored) = with_susan().await;

    let status = system.commit(commit([])).await.unwrap_err();
    assert_invalid(&status, &["mutations"]);
    let status = system.commit(commit(too_many())).await.unwrap_err();
    assert_invalid(&status, &["mutations"]);
    let status = batch_get(&system, vec![]).await;
    assert_invalid(&status, &["ids"]);
    let status = batch_get(&system, (1..=1001).collect()).await;
    assert_invalid(&status, &["ids"]);

    assert_eq!(system.stored().await, stored);
}

#[tokio::test]
async fn a_repeated_id_is_rejected_in_a_batch() {
    let (system, susan, stored) = with_susan().await;

    let status = batch_get(&system, vec![susan.id, 7, susan.id, 7]).await;

    assert_invalid(&status, &["ids[2]", "ids[3]"]);
    assert_eq!(system.stored().await, stored);
}

#[tokio::test]
async fn validate_only_is_rejected_in_a_single_mutation() {
    let (system, susan, stored) = with_susan().await;
    let change = UpdateUserRequest {
        validate_only: true,
        ..update(susan, &["nickname"])
    };

    let changes = commit([Mutation::Update(change)]);
    let status = system.commit(changes).await.unwrap_err();

    assert_invalid(&status, &["mutations[0].update.validate_only"]);
    assert_eq!(system.stored().await, stored);
}

#[tokio::test]
async fn all_violations_of_a_request_are_reported() {
    let (system, _, stored) = with_susan().await;
    let wrong = User {
        id: -1,
        role: 7,
        ..user("", "missing")
    };

    let create = CreateUserRequest {
        user: Some(wrong.clone()),
        request_id: "1".into(),
        validate_only: false,
    };
    let status = system.create_by(create).await.unwrap_err();
    let fields = ["user.nickname", "user.email", "user.role", "request_id"];
    assert_invalid(&status, &fields);

    let list = ListUsersRequest {
        page_size: -1,
        order_by: "age".into(),
        role: 7,
        ..ListUsersRequest::default()
    };
    let status = system.list(list).await.unwrap_err();
    assert_invalid(&status, &["page_size", "order_by", "role"]);

    let change = update(wrong.clone(), &["*", "age"]);
    let status = system.update(change.clone()).await.unwrap_err();
    let fields = [
        "update_mask",
        "user.id",
        "user.nickname",
        "user.email",
        "user.role",
    ];
    assert_invalid(&status, &fields);

    let status = batch_get(&system, vec![0, -1, -1]).await;
    assert_invalid(&status, &["ids[0]", "ids[1]", "ids[2]"]);

    assert_eq!(system.stored().await, stored);
}

#[tokio::test]
async fn all_violations_of_a_commit_and_the_first_index_are_reported() {
    let (system, susan, stored) = with_susan().await;
    let changes = CommitUsersRequest {
        request_id: "1".into(),
        ..commit([
            Mutation::Create(named("first")),
            Mutation::Delete(delete(susan.id)),
            Mutation::Create(named("third")),
            Mutation::Create(user("", "missing")),
            Mutation::Delete(delete(0)),
        ])
    };

    let status = system.commit(changes).await.unwrap_err();

    assert_invalid(
        &status,
        &[
            "request_id",
            "mutations[3].create.nickname",
            "mutations[3].create.email",
            "mutations[4].delete.id",
        ],
    );
    assert_eq!(metadata(&status, "mutation_index"), Some("3".into()));
    assert_eq!(system.stored().await, stored);
}
