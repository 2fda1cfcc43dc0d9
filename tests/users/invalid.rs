//! Invalid requests: each field that can be invalid, in every request that has it.
//!
//! Each test also asserts that nothing was stored.

use proto::user::v1::{
    BatchGetUsersRequest, CommitUsersRequest, CreateUserRequest, ListUsersRequest,
    LookupUserRequest, PurgeUsersRequest, UpdateUserRequest, User, UserMutation,
    lookup_user_request::Key, purge_users_request::Selection, user_mutation::Mutation,
};
use tonic::Status;

use super::{
    assert_invalid, assert_violation, commit, delete, metadata, named, nicknames, update, user,
    with_susan,
};
use crate::support::System;

async fn lookup(system: &System, key: Option<Key>) -> Status {
    let request = LookupUserRequest { key };
    system.users().lookup_user(request).await.unwrap_err()
}

async fn batch_get(system: &System, ids: Vec<i64>) -> Status {
    let request = BatchGetUsersRequest {
        ids,
        allow_missing: true,
    };
    system.users().batch_get_users(request).await.unwrap_err()
}

async fn purge(system: &System, selection: Option<Selection>) -> Status {
    let request = PurgeUsersRequest {
        selection,
        force: true,
    };
    system.users().purge_users(request).await.unwrap_err()
}

async fn commit_one(system: &System, mutation: Mutation) -> Status {
    system.commit(commit([mutation])).await.unwrap_err()
}

#[tokio::test]
async fn an_invalid_nickname_is_rejected_in_every_request() {
    let (system, susan, stored) = with_susan().await;

    for nickname in [
        "",
        " ",
        "\u{3000}",
        &"a".repeat(65),
        &"😀".repeat(65),
        "a\u{0}b",
        "a\nb",
        "a\tb",
        "a\u{7f}",
        "a\u{85}",
        "\u{202e}nasus",
        "susan\u{200f}",
        "sus\u{200b}an",
        "\u{feff}susan",
        "\u{fdd0}",
        "\u{10ffff}",
        "\u{e000}",
    ] {
        let wrong = user(nickname, "other@example.com");
        let change = User {
            id: susan.id,
            ..wrong.clone()
        };

        let status = system.create(wrong.clone()).await.unwrap_err();
        assert_invalid(&status, &["user.nickname"]);
        let status = system.update(update(change.clone(), &["nickname"])).await;
        assert_invalid(&status.unwrap_err(), &["user.nickname"]);
        let status = lookup(&system, Some(Key::Nickname(nickname.into()))).await;
        assert_invalid(&status, &["nickname"]);
        let status = commit_one(&system, Mutation::Create(wrong)).await;
        assert_invalid(&status, &["mutations[0].create.nickname"]);
        let status = commit_one(&system, Mutation::Update(update(change, &["*"]))).await;
        let role = "mutations[0].update.user.role";
        assert_invalid(&status, &["mutations[0].update.user.nickname", role]);
    }
    assert_eq!(system.stored().await, stored);
}

#[tokio::test]
async fn an_invalid_address_is_rejected_in_every_request() {
    let (system, susan, stored) = with_susan().await;

    for email in [
        "",
        " ",
        "susan",
        "@example.com",
        "susan@",
        "su san@example.com",
        "susan@@example.com",
        "susan@example.com\n",
        "susan\u{0}@example.com",
        "\u{202e}susan@example.com",
        "Susan <susan@example.com>",
        "susan@example.com,john@example.com",
        &format!("{}@{}.com", "a".repeat(60), "b".repeat(56)),
    ] {
        let wrong = user("other", email);
        let change = User {
            id: susan.id,
            ..wrong.clone()
        };

        let status = system.create(wrong.clone()).await.unwrap_err();
        assert_invalid(&status, &["user.email"]);
        let status = system.update(update(change.clone(), &["email"])).await;
        assert_invalid(&status.unwrap_err(), &["user.email"]);
        let status = lookup(&system, Some(Key::Email(email.into()))).await;
        assert_invalid(&status, &["email"]);
        let status = commit_one(&system, Mutation::Create(wrong)).await;
        assert_invalid(&status, &["mutations[0].create.email"]);
        let status = commit_one(&system, Mutation::Update(update(change, &["email"]))).await;
        assert_invalid(&status, &["mutations[0].update.user.email"]);
    }
    assert_eq!(system.stored().await, stored);
}

#[tokio::test]
async fn an_invalid_id_is_rejected_in_every_request() {
    let (system, _, stored) = with_susan().await;

    for id in [0, -1, i64::MIN] {
        let change = update(User { id, ..named("sue") }, &[]);

        let status = system.get(id).await.unwrap_err();
        assert_invalid(&status, &["id"]);
        let status = batch_get(&system, vec![7, id]).await;
        assert_invalid(&status, &["ids[1]"]);
        let status = system.update(change.clone()).await.unwrap_err();
        assert_invalid(&status, &["user.id"]);
        let mut deletion = delete(id);
        deletion.allow_missing = true;
        let status = system.delete(deletion.clone()).await.unwrap_err();
        assert_invalid(&status, &["id"]);
        let status = commit_one(&system, Mutation::Update(change)).await;
        assert_invalid(&status, &["mutations[0].update.user.id"]);
        let status = commit_one(&system, Mutation::Delete(deletion)).await;
        assert_invalid(&status, &["mutations[0].delete.id"]);
    }
    assert_eq!(system.stored().await, stored);
}

#[tokio::test]
async fn an_invalid_role_is_rejected_in_every_request() {
    let (system, susan, stored) = with_susan().await;

    for role in [3, -1, i32::MAX, i32::MIN] {
        let wrong = User {
            role,
            ..named("john")
        };
        let change = User {
            id: susan.id,
            role,
            ..User::default()
        };

        let status = system.create(wrong.clone()).await.unwrap_err();
        assert_invalid(&status, &["user.role"]);
        // With a mask that names the field, and without a mask.
        for paths in [&["role"][..], &[]] {
            let status = system.update(update(change.clone(), paths)).await;
            assert_invalid(&status.unwrap_err(), &["user.role"]);
        }
        let list = ListUsersRequest {
            role,
            ..ListUsersRequest::default()
        };
        let status = system.list(list).await.unwrap_err();
        assert_invalid(&status, &["role"]);
        let status = purge(&system, Some(Selection::Role(role))).await;
        assert_invalid(&status, &["role"]);
        let status = commit_one(&system, Mutation::Create(wrong)).await;
        assert_invalid(&status, &["mutations[0].create.role"]);
    }
    assert_eq!(system.stored().await, stored);
}

#[tokio::test]
async fn an_update_or_purge_by_role_requires_a_role() {
    let (system, susan, stored) = with_susan().await;
    let unset = User {
        role: 0,
        ..susan.clone()
    };

    let status = system.update(update(unset, &["role"])).await.unwrap_err();
    assert_invalid(&status, &["user.role"]);
    let status = purge(&system, Some(Selection::Role(0))).await;
    assert_invalid(&status, &["role"]);

    assert_eq!(system.stored().await, stored);
}

#[tokio::test]
async fn a_missing_required_field_is_rejected() {
    let (system, _, stored) = with_susan().await;

    let status = system.create_by(CreateUserRequest::default()).await;
    assert_invalid(&status.unwrap_err(), &["user"]);
    let status = system.update(UpdateUserRequest::default()).await;
    assert_invalid(&status.unwrap_err(), &["user"]);
    let status = lookup(&system, None).await;
    assert_invalid(&status, &["key"]);
    let status = purge(&system, None).await;
    assert_invalid(&status, &["selection"]);
    let status = purge(&system, Some(Selection::All(false))).await;
    assert_invalid(&status, &["all"]);
    let status = commit_one(&system, Mutation::Update(UpdateUserRequest::default())).await;
    assert_invalid(&status, &["mutations[0].update.user"]);
    let mut one_unset = commit([Mutation::Create(named("john"))]);
    one_unset.mutations.push(UserMutation::default());
    let status = system.commit(one_unset).await.unwrap_err();
    assert_invalid(&status, &["mutations[1].mutation"]);

    assert_eq!(system.stored().await, stored);
}

#[tokio::test]
async fn a_negative_page_size_is_rejected() {
    let (system, _, stored) = with_susan().await;

    for page_size in [-1, i32::MIN] {
        let list = ListUsersRequest {
            page_size,
            ..ListUsersRequest::default()
        };

        let status = system.list(list).await.unwrap_err();

        assert_invalid(&status, &["page_size"]);
    }
    assert_eq!(system.stored().await, stored);
}

#[tokio::test]
async fn an_invalid_order_is_rejected() {
    let (system, _, stored) = with_susan().await;

    for order_by in [
        "age",
        "role",
        "update_time",
        "nickname_key",
        "Nickname",
        "1",
        "nickname asc",
        "nickname DESC",
        "nickname desc desc",
        "nickname email",
        "nickname,",
        ",",
        "id, id desc",
        "nickname; drop table users",
        "nickname desc; drop table users",
        "(select email from users)",
        "nickname --",
        "\u{0}",
    ] {
        let list = ListUsersRequest {
            order_by: order_by.into(),
            ..ListUsersRequest::default()
        };

        let status = system.list(list).await.unwrap_err();

        assert_violation(&status, "INVALID_ORDER_BY", "order_by");
    }
    assert_eq!(system.stored().await, stored);
    let listed = system.list(ListUsersRequest::default()).await.unwrap();
    assert_eq!(nicknames(&listed.users), ["susan"]);
}

#[tokio::test]
async fn a_mask_with_a_field_that_is_not_updatable_is_rejected() {
    let (system, susan, stored) = with_susan().await;
    let change = User {
        id: susan.id,
        role: 2,
        ..named("sue")
    };

    for path in [
        "age",
        "id",
        "create_time",
        "etag",
        "user.nickname",
        "Nickname",
        "",
        "nick*",
    ] {
        for paths in [&[path][..], &["nickname", path], &["*", path]] {
            let status = system.update(update(change.clone(), paths)).await;
            assert_violation(&status.unwrap_err(), "UNKNOWN_MASK_PATH", "update_mask");
        }
        let status = commit_one(&system, Mutation::Update(update(change.clone(), &[path]))).await;
        let field = "mutations[0].update.update_mask";
        assert_violation(&status, "UNKNOWN_MASK_PATH", field);
        assert_eq!(metadata(&status, "mutation_index"), Some("0".into()));
    }
    assert_eq!(system.stored().await, stored);
}

#[tokio::test]
async fn a_repeated_invalid_mask_path_is_reported_once() {
    let (system, susan, stored) = with_susan().await;
    let change = User {
        id: susan.id,
        ..named("sue")
    };

    let repeated = update(change, &["id", "nickname", "id"]);
    let status = system.update(repeated).await.unwrap_err();

    assert_violation(&status, "UNKNOWN_MASK_PATH", "update_mask");
    assert_eq!(system.stored().await, stored);
}

#[tokio::test]
async fn a_request_id_must_be_a_uuid() {
    let (system, _, stored) = with_susan().await;

    for request_id in [
        "1",
        "susan",
        " ",
        "3f1c9a52-7d0e-4c4b-9b1e-2f6a8d5c7e1",
        "3f1c9a52-7d0e-4c4b-9b1e-2f6a8d5c7e1g",
        "3f1c9a52-7d0e-4c4b-9b1e-2f6a8d5c7e10 ",
        "00000000-0000-0000-0000-000000000000",
    ] {
        let request = CreateUserRequest {
            user: Some(named("john")),
            request_id: request_id.into(),
            validate_only: false,
        };
        let status = system.create_by(request).await.unwrap_err();
        assert_invalid(&status, &["request_id"]);

        let request = CommitUsersRequest {
            request_id: request_id.into(),
            ..commit([Mutation::Create(named("john"))])
        };
        let status = system.commit(request).await.unwrap_err();
        assert_invalid(&status, &["request_id"]);
    }
    assert_eq!(system.stored().await, stored);
}
