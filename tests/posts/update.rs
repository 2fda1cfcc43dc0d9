//! `UpdatePost`.

use std::time::Duration;

use chassis::process::clock::Clock;
use chrono::DateTime;
use proto::post::v1::{Author, Post, UpdatePostRequest, author::State};
use tonic::Code;

use super::{
    assert_refused, author, draft, masked, metadata, rewrite, system_fixture::SystemFixture,
};

fn only_validate(request: UpdatePostRequest) -> UpdatePostRequest {
    UpdatePostRequest {
        validate_only: true,
        ..request
    }
}

/// Adds the etag that the post must still have.
fn guarded(request: UpdatePostRequest, etag: &str) -> UpdatePostRequest {
    let mut request = request;
    request.post.as_mut().unwrap().etag = etag.into();
    request
}

#[tokio::test]
async fn an_update_changes_only_body_etag_and_update_time() {
    let clock = Clock::manual(DateTime::UNIX_EPOCH);
    let fixture = SystemFixture::at(clock.clone()).await;
    let before = fixture
        .posts
        .create(draft(fixture.susan, "old"))
        .await
        .unwrap();
    clock.advance(Duration::from_secs(7));

    let after = fixture
        .posts
        .update(rewrite(before.id, "new"))
        .await
        .unwrap();

    assert_ne!(after.etag, before.etag);
    assert_eq!(after.update_time.unwrap().seconds, 7);
    let expected = Post {
        body: "new".into(),
        etag: after.etag.clone(),
        update_time: after.update_time,
        ..before
    };
    assert_eq!(after, expected);
    assert_eq!(fixture.posts.get(after.id).await.unwrap(), after);
}

#[tokio::test]
async fn every_valid_mask_updates_the_body() {
    let fixture = SystemFixture::start().await;
    let post = fixture
        .posts
        .create(draft(fixture.susan, "0"))
        .await
        .unwrap();

    for (number, paths) in [&[][..], &["body"], &["*"], &["*", "body"]]
        .iter()
        .enumerate()
    {
        let body = format!("new {number}");
        let after = fixture
            .posts
            .update(masked(rewrite(post.id, &body), paths))
            .await
            .unwrap();

        assert_eq!(after.body, body, "{paths:?}");
    }
}

#[tokio::test]
async fn an_update_to_the_same_body_changes_nothing() {
    let clock = Clock::manual(DateTime::UNIX_EPOCH);
    let fixture = SystemFixture::at(clock.clone()).await;
    let post = fixture
        .posts
        .create(draft(fixture.susan, "é"))
        .await
        .unwrap();
    let before = fixture.stored().await;
    clock.advance(Duration::from_secs(7));

    for body in ["é", "e\u{301}"] {
        let after = fixture.posts.update(rewrite(post.id, body)).await.unwrap();

        assert_eq!(after, post);
    }
    assert_eq!(fixture.stored().await, before);
}

#[tokio::test]
async fn immutable_and_output_only_fields_are_not_updated() {
    let fixture = SystemFixture::start().await;
    let before = fixture
        .posts
        .create(draft(fixture.susan, "old"))
        .await
        .unwrap();
    let time = prost_types::Timestamp {
        seconds: 1,
        nanos: 1,
    };
    let mut request = rewrite(before.id, "new");
    request.post = request.post.map(|post| Post {
        create_time: Some(time),
        update_time: Some(time),
        author_id: fixture.john,
        author: Some(Author {
            state: State::Resolved.into(),
            nickname: "john".into(),
        }),
        ..post
    });

    let after = fixture.posts.update(masked(request, &["*"])).await.unwrap();

    assert_eq!(after.create_time, before.create_time);
    assert_ne!(after.update_time, Some(time));
    assert_eq!(after.author_id, fixture.susan);
    assert_eq!(after.author, Some(author(State::Resolved, "susan")));
}

#[tokio::test]
async fn updating_a_missing_post_fails() {
    let fixture = SystemFixture::start().await;

    for request in [rewrite(7, "new"), only_validate(rewrite(7, "new"))] {
        let status = fixture.posts.update(request).await.unwrap_err();

        assert_refused(&status, Code::NotFound, "POST_NOT_FOUND");
        assert_eq!(metadata(&status, "id"), Some("7".into()));
    }
    assert_eq!(fixture.stored().await, [""; 0]);
}

#[tokio::test]
async fn an_etag_from_before_a_restore_does_not_match_other_content() {
    let fixture = SystemFixture::start().await;
    let draft_before = draft(fixture.susan, "before");
    let before = fixture.posts.create(draft_before).await.unwrap();
    // Simulate the restore of a backup without the post.
    let database = fixture.system.database();
    database.execute("delete from posts").await;
    database.restart_ids("posts", before.id - 1).await;
    let draft_after = draft(fixture.susan, "after");
    let after = fixture.posts.create(draft_after).await.unwrap();
    assert_eq!(after.id, before.id);

    let change = guarded(rewrite(after.id, "new"), &before.etag);
    let status = fixture.posts.update(change).await.unwrap_err();

    assert_refused(&status, Code::Aborted, "ETAG_MISMATCH");
    assert_eq!(fixture.posts.get(after.id).await.unwrap(), after);
}

#[tokio::test]
async fn an_update_with_a_stale_etag_is_rejected() {
    let fixture = SystemFixture::start().await;
    let first = fixture
        .posts
        .create(draft(fixture.susan, "1"))
        .await
        .unwrap();
    let change = guarded(rewrite(first.id, "2"), &first.etag);
    let second = fixture.posts.update(change).await.unwrap();
    let before = fixture.stored().await;

    for etag in [&first.etag, "never given out"] {
        // The etag is compared even if the update changes nothing.
        for body in ["3", "2"] {
            let change = guarded(rewrite(first.id, body), etag);
            for request in [change.clone(), only_validate(change)] {
                let status = fixture.posts.update(request).await.unwrap_err();

                assert_refused(&status, Code::Aborted, "ETAG_MISMATCH");
                assert_eq!(metadata(&status, "etag"), Some(second.etag.clone()));
                assert_eq!(metadata(&status, "id"), Some(first.id.to_string()));
            }
        }
    }
    assert_eq!(fixture.stored().await, before);
}

#[tokio::test]
async fn a_dry_run_update_is_returned_and_not_stored() {
    let fixture = SystemFixture::start().await;
    let post = fixture
        .posts
        .create(draft(fixture.susan, "old"))
        .await
        .unwrap();
    let before = fixture.stored().await;

    let tried = fixture
        .posts
        .update(only_validate(rewrite(post.id, "new")))
        .await
        .unwrap();

    assert_eq!((tried.id, tried.body.as_str()), (post.id, "new"));
    assert_eq!(tried.author, Some(author(State::Resolved, "susan")));
    assert_eq!(fixture.stored().await, before);
}
