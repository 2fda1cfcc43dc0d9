//! `DeletePost`.

use proto::post::v1::DeletePostRequest;
use tonic::Code;

use super::{assert_refused, delete, draft, metadata, rewrite, system_fixture::SystemFixture};

#[tokio::test]
async fn only_the_deleted_post_is_not_found() {
    let fixture = SystemFixture::start().await;
    let posts = fixture
        .posts
        .create_all(fixture.susan, ["first", "second"])
        .await;

    fixture.posts.delete(delete(posts[0].id)).await.unwrap();

    let status = fixture.posts.get(posts[0].id).await.unwrap_err();
    assert_refused(&status, Code::NotFound, "POST_NOT_FOUND");
    assert_eq!(fixture.stored_bodies().await, ["second"]);
}

#[tokio::test]
async fn deleting_a_missing_post_fails_unless_allowed() {
    let fixture = SystemFixture::start().await;
    let posts = fixture
        .posts
        .create_all(fixture.susan, ["first", "second"])
        .await;
    let gone = posts[0].id;
    fixture.posts.delete(delete(gone)).await.unwrap();

    for id in [gone, 99] {
        let status = fixture.posts.delete(delete(id)).await.unwrap_err();
        let allowed = fixture
            .posts
            .delete(DeletePostRequest {
                allow_missing: true,
                etag: "any".into(),
                id,
            })
            .await;

        assert_refused(&status, Code::NotFound, "POST_NOT_FOUND");
        assert_eq!(metadata(&status, "id"), Some(id.to_string()));
        assert!(allowed.is_ok());
    }
    assert_eq!(fixture.stored_bodies().await, ["second"]);
}

#[tokio::test]
async fn a_deletion_with_a_stale_etag_is_rejected() {
    let fixture = SystemFixture::start().await;
    let first = fixture
        .posts
        .create(draft(fixture.susan, "1"))
        .await
        .unwrap();
    let second = fixture.posts.update(rewrite(first.id, "2")).await.unwrap();
    let guarded = |etag: &str, allow_missing| DeletePostRequest {
        id: first.id,
        etag: etag.into(),
        allow_missing,
    };
    let before = fixture.stored().await;

    for etag in [&first.etag, "never given out"] {
        for allow_missing in [false, true] {
            let request = guarded(etag, allow_missing);
            let status = fixture.posts.delete(request).await.unwrap_err();

            assert_refused(&status, Code::Aborted, "ETAG_MISMATCH");
            assert_eq!(metadata(&status, "etag"), Some(second.etag.clone()));
        }
    }
    assert_eq!(fixture.stored().await, before);
    let request = guarded(&second.etag, false);
    fixture.posts.delete(request).await.unwrap();
    assert_eq!(fixture.stored().await, [""; 0]);
}
