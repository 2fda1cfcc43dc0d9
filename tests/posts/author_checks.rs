//! Checks of the authors of new posts while the user service responds, hangs, fails or is down.

use std::{
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use proto::post::v1::{
    CreatePostRequest, ListPostsRequest, author::State, post_mutation::Mutation,
};
use tonic::{Code, Status};

use super::{
    assert_refused, author, commit, delete, draft,
    fake_user_service::Behavior,
    metadata,
    post_service_fixture::{FOREVER, PostServiceFixture},
    rewrite,
};
use crate::support::within_timeout;

/// The timeout of calls to the user service in these tests.
const TIMEOUT: Duration = Duration::from_millis(200);

/// Much longer than `TIMEOUT`, and shorter than any other limit.
const NOT_LONG: Duration = Duration::from_secs(3);

/// Starts a service in which every cached nickname has expired.
async fn with_expired_cache(users: i64) -> PostServiceFixture {
    PostServiceFixture::with(users, |settings| {
        settings.authors.author_ttl = Duration::ZERO;
        settings.authors.user_service_timeout = TIMEOUT;
    })
    .await
}

fn creations(authors: impl IntoIterator<Item = i64>) -> Vec<Mutation> {
    let creation = |author| Mutation::Create(draft(author, "x"));
    authors.into_iter().map(creation).collect()
}

#[track_caller]
fn assert_unavailable(status: &Status, author: i64) {
    assert_refused(status, Code::Unavailable, "USER_SERVICE_UNAVAILABLE");
    assert_eq!(metadata(status, "author_id"), Some(author.to_string()));
}

#[tokio::test]
async fn an_uncached_author_cannot_write_while_the_user_service_hangs() {
    let fixture = with_expired_cache(3).await;
    fixture.users.set_behavior(Behavior::Hang);

    let started = Instant::now();
    let created = fixture.posts.create(draft(1, "x")).await.unwrap_err();
    let took = started.elapsed();
    let committed = fixture.posts.commit(commit(creations([1, 2]))).await;

    assert_unavailable(&created, 1);
    assert!(took >= TIMEOUT && took < NOT_LONG, "{took:?}");
    let committed = committed.unwrap_err();
    assert_unavailable(&committed, 1);
    assert_eq!(metadata(&committed, "mutation_index"), Some("0".into()));
    assert_eq!(fixture.count().await, 3);
}

#[tokio::test]
async fn an_uncached_author_cannot_write_during_an_outage() {
    let mut fixture = with_expired_cache(2).await;
    fixture.posts.get(1).await.unwrap();
    fixture.stop_users().await;
    let validated = CreatePostRequest {
        post: Some(draft(2, "x")),
        validate_only: true,
        ..CreatePostRequest::default()
    };

    let started = Instant::now();
    let created = fixture.posts.create(draft(2, "x")).await.unwrap_err();
    let took = started.elapsed();
    let validated = fixture.posts.create_by(validated).await.unwrap_err();
    // The author 1 is cached.
    let committed = fixture.posts.commit(commit(creations([1, 2, 1]))).await;

    assert_unavailable(&created, 2);
    assert!(took < NOT_LONG, "{took:?}");
    assert_unavailable(&validated, 2);
    let committed = committed.unwrap_err();
    assert_unavailable(&committed, 2);
    assert_eq!(metadata(&committed, "mutation_index"), Some("1".into()));
    assert_eq!(fixture.count().await, 2);
}

#[tokio::test]
async fn a_cached_author_can_write_during_an_outage() {
    let mut fixture = PostServiceFixture::with(2, |settings| {
        settings.authors.author_ttl = Duration::ZERO;
        settings.authors.user_service_timeout = FOREVER;
    })
    .await;
    let list = ListPostsRequest::default();
    fixture.posts.list(list).await.unwrap();

    fixture.users.set_behavior(Behavior::Hang);
    let first = within_timeout(fixture.posts.create(draft(1, "x")))
        .await
        .unwrap();
    fixture.users.release();
    fixture.stop_users().await;
    let second = fixture.posts.create(draft(2, "x")).await.unwrap();
    let committed = fixture.posts.commit(commit(creations([1, 2]))).await;

    assert_eq!(first.author, Some(author(State::Unavailable, "user 1")));
    assert_eq!(second.author, Some(author(State::Unavailable, "user 2")));
    assert!(committed.is_ok(), "{committed:?}");
    assert_eq!(fixture.count().await, 2 + 4);
}

#[tokio::test]
async fn updates_and_deletions_need_no_user_service() {
    let mut fixture = with_expired_cache(3).await;
    fixture.stop_users().await;

    let updated = fixture.posts.update(rewrite(1, "new")).await.unwrap();
    fixture.posts.delete(delete(2)).await.unwrap();
    let committed = fixture
        .posts
        .commit(commit([
            Mutation::Update(rewrite(1, "newer")),
            Mutation::Delete(delete(3)),
        ]))
        .await;

    assert_eq!(updated.body, "new");
    assert_eq!(updated.author, Some(author(State::Unavailable, "")));
    assert!(committed.is_ok(), "{committed:?}");
    assert_eq!(fixture.count().await, 1);
    assert_eq!(fixture.users.calls(), []);
}

#[tokio::test]
async fn the_authors_of_a_commit_are_looked_up_by_one_call() {
    let fixture = PostServiceFixture::start(50).await;

    let committed = fixture
        .posts
        .commit(commit(creations((1..=50).chain(1..=50))))
        .await;

    assert_eq!(committed.unwrap().len(), 100);
    let calls = fixture.users.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].ids.len(), 50);
}

#[tokio::test]
async fn a_missing_author_can_write_once_created() {
    let fixture = PostServiceFixture::start(0).await;
    let rejected = fixture.posts.create(draft(1, "x")).await.unwrap_err();
    fixture.add(1..=1).await;

    let created = fixture.posts.create(draft(1, "x")).await.unwrap();

    assert_refused(&rejected, Code::FailedPrecondition, "AUTHOR_NOT_FOUND");
    assert_eq!(created.author, Some(author(State::Resolved, "user 1")));
}

#[tokio::test]
async fn an_author_missing_in_a_joined_call_is_looked_up_again() {
    let fixture = PostServiceFixture::start(1).await;
    fixture.users.remove_user(1);
    fixture.users.set_behavior(Behavior::Hang);
    let posts = fixture.posts.clone();
    let older = tokio::spawn(async move { posts.get(1).await });
    fixture.users.called(1).await;
    fixture.users.add_user(1, "user 1");
    fixture.users.set_behavior(Behavior::Respond);

    let posts = fixture.posts.clone();
    let created = tokio::spawn(async move { posts.create(draft(1, "x")).await });
    // Give the creation time to join the older call. Otherwise it would start another call.
    assert_eq!(fixture.count().await, 1);
    fixture.users.release();
    let created = created.await.unwrap().unwrap();
    older.await.unwrap().unwrap();

    assert_eq!(created.author, Some(author(State::Resolved, "user 1")));
}

#[tokio::test]
async fn the_foreign_key_decides_if_the_user_service_says_missing() {
    let fixture = PostServiceFixture::start(1).await;
    fixture.users.remove_user(1);

    let created = fixture.posts.create(draft(1, "x")).await;

    assert!(created.is_ok(), "{created:?}");
    assert_eq!(fixture.count().await, 2);
}

#[tokio::test]
async fn the_foreign_key_rejects_a_cached_author_who_was_deleted() {
    for batch in [false, true] {
        let fixture = PostServiceFixture::start(1).await;
        fixture.posts.get(1).await.unwrap();
        fixture.remove(1).await;
        let asked = fixture.users.calls().len();

        let status = if batch {
            let request = commit(creations([1]));
            fixture.posts.commit(request).await.unwrap_err()
        } else {
            fixture.posts.create(draft(1, "x")).await.unwrap_err()
        };
        let asked_before_eviction = fixture.users.calls().len();
        // The author has been evicted from the cache.
        let again = fixture.posts.create(draft(1, "x")).await.unwrap_err();

        assert_refused(&status, Code::FailedPrecondition, "AUTHOR_NOT_FOUND");
        assert_eq!(metadata(&status, "author_id"), Some("1".into()));
        let index = batch.then(|| "0".into());
        assert_eq!(metadata(&status, "mutation_index"), index);
        assert_eq!(asked_before_eviction, asked);
        assert_refused(&again, Code::FailedPrecondition, "AUTHOR_NOT_FOUND");
        assert_eq!(fixture.users.calls().len(), asked + 1, "batch: {batch}");
        assert_eq!(fixture.count().await, 0);
    }
}

#[tokio::test]
async fn the_foreign_key_rejects_an_author_only_the_user_service_has() {
    let fixture = PostServiceFixture::start(1).await;
    fixture.users.add_user(2, "missing");

    let created = fixture.posts.create(draft(2, "x")).await.unwrap_err();
    let committed = fixture.posts.commit(commit(creations([1, 2]))).await;

    assert_refused(&created, Code::FailedPrecondition, "AUTHOR_NOT_FOUND");
    let committed = committed.unwrap_err();
    assert_refused(&committed, Code::FailedPrecondition, "AUTHOR_NOT_FOUND");
    assert_eq!(metadata(&committed, "mutation_index"), Some("1".into()));
    assert_eq!(fixture.count().await, 1);
}

#[tokio::test]
async fn a_write_waits_longer_for_an_uncached_author_than_a_read() {
    let fixture = PostServiceFixture::with(1, |settings| {
        settings.authors.author_lookup_timeout = Duration::ZERO;
        settings.authors.user_service_timeout = FOREVER;
        // The cache holds one author.
        settings.authors.author_cache_capacity = NonZeroUsize::MIN;
    })
    .await;
    fixture.users.set_behavior(Behavior::Hang);
    let write = tokio::spawn({
        let posts = fixture.posts.clone();
        async move { posts.create(draft(1, "x")).await }
    });
    fixture.users.called(1).await;

    let read = fixture.posts.get(1).await.unwrap();
    fixture.users.release();
    let written = write.await.unwrap().unwrap();

    assert_eq!(read.author, Some(author(State::Unavailable, "")));
    assert_eq!(written.author, Some(author(State::Resolved, "user 1")));
}
