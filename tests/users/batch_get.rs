//! `BatchGetUsers`.

use proto::user::v1::{BatchGetUsersRequest, BatchGetUsersResponse};
use tonic::{Code, Status};

use super::{assert_refused, metadata, nicknames};
use crate::support::System;

async fn batch_get(
    system: &System,
    ids: Vec<i64>,
    allow_missing: bool,
) -> Result<BatchGetUsersResponse, Status> {
    let request = BatchGetUsersRequest { ids, allow_missing };
    Ok(system.users().batch_get_users(request).await?.into_inner())
}

#[tokio::test]
async fn users_are_returned_in_the_order_of_the_ids() {
    let system = System::start().await;
    let users = system.create_all(["a", "b", "c"]).await;
    let [a, b, c] = [0, 1, 2].map(|index: usize| users[index].id);

    let response = batch_get(&system, vec![c, a, b], false).await.unwrap();

    assert_eq!(nicknames(&response.users), ["c", "a", "b"]);
    assert_eq!(response.users[1], users[0]);
    assert_eq!(response.missing_ids, [0; 0]);
}

#[tokio::test]
async fn a_missing_id_fails_the_whole_batch() {
    let system = System::start().await;
    let susan = system.create_user("susan").await.unwrap();
    let missing = susan.id + 1;

    let status = batch_get(&system, vec![susan.id, missing], false)
        .await
        .unwrap_err();

    assert_refused(&status, Code::NotFound, "USER_NOT_FOUND");
    assert_eq!(metadata(&status, "id"), Some(missing.to_string()));
}

#[tokio::test]
async fn missing_ids_are_returned_in_order_if_allowed() {
    let system = System::start().await;
    let susan = system.create_user("susan").await.unwrap();
    let (near, far) = (susan.id + 1, i64::MAX);

    let response = batch_get(&system, vec![far, susan.id, near], true)
        .await
        .unwrap();

    assert_eq!(response.users, [susan]);
    assert_eq!(response.missing_ids, [far, near]);
}

#[tokio::test]
async fn a_thousand_users_are_returned_by_one_call() {
    let system = System::start().await;
    let users = system
        .create_all((0..1000).map(|n| format!("user{n}")))
        .await;
    let ids = users.iter().rev().map(|user| user.id).collect();

    let response = batch_get(&system, ids, false).await.unwrap();

    assert!(response.users.iter().eq(users.iter().rev()));
}
