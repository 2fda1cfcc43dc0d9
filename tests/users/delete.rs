//! `DeleteUser`.

use proto::user::v1::{DeleteUserRequest, User};
use tonic::Code;

use super::{assert_refused, delete, metadata, named, update};
use crate::support::System;

#[tokio::test]
async fn a_deleted_user_is_not_found() {
    let system = System::start().await;
    let users = system.create_all(["susan", "john"]).await;

    system.delete(delete(users[0].id)).await.unwrap();

    let status = system.get(users[0].id).await.unwrap_err();
    assert_refused(&status, Code::NotFound, "USER_NOT_FOUND");
    assert!(system.get(users[1].id).await.is_ok());
}

#[tokio::test]
async fn deleting_a_missing_user_fails_unless_allowed() {
    let system = System::start().await;

    let status = system.delete(delete(7)).await.unwrap_err();
    let allowed = system
        .delete(DeleteUserRequest {
            allow_missing: true,
            etag: "1".into(),
            ..delete(7)
        })
        .await;

    assert_refused(&status, Code::NotFound, "USER_NOT_FOUND");
    assert!(allowed.is_ok());
}

#[tokio::test]
async fn a_deletion_requires_the_current_etag() {
    let system = System::start().await;
    let first = system.create(named("susan")).await.unwrap();
    let renamed = User {
        nickname: "sue".into(),
        ..first.clone()
    };
    let second = system.update(update(renamed, &["nickname"])).await.unwrap();
    let before = system.stored().await;
    let guarded = |etag: &str| DeleteUserRequest {
        etag: etag.into(),
        // `allow_missing` does not override the etag.
        allow_missing: true,
        ..delete(first.id)
    };

    for etag in [&first.etag, "never given out"] {
        let status = system.delete(guarded(etag)).await.unwrap_err();

        assert_refused(&status, Code::Aborted, "ETAG_MISMATCH");
        assert_eq!(metadata(&status, "etag"), Some(second.etag.clone()));
        assert_eq!(system.stored().await, before);
    }
    system.delete(guarded(&second.etag)).await.unwrap();

    assert_eq!(system.stored().await, [""; 0]);
}

#[tokio::test]
async fn a_user_with_posts_cannot_be_deleted() {
    let system = System::start().await;
    let susan = system.create(named("susan")).await.unwrap();
    system.post_by(&susan).await;
    let before = system.stored().await;

    let status = system.delete(delete(susan.id)).await.unwrap_err();

    assert_refused(&status, Code::FailedPrecondition, "USER_HAS_POSTS");
    assert_eq!(system.stored().await, before);
}
