//! Creation and update times.

use std::time::Duration;

use chassis::process::clock::Clock;
use chrono::{DateTime, Utc};
use futures::{future::join_all, join};
use prost_types::Timestamp;
use proto::post::v1::{CreatePostRequest, ListPostsRequest, Post, post_mutation::Mutation};

use super::{bodies, commit, draft, rewrite, system_fixture::SystemFixture};

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_800_000_000_123_456).unwrap()
}

fn micros(timestamp: Option<Timestamp>) -> i64 {
    let Timestamp { seconds, nanos } = timestamp.unwrap();
    assert_eq!(nanos % 1000, 0, "it is not a whole number of microseconds");
    seconds * 1_000_000 + i64::from(nanos) / 1000
}

#[tokio::test]
async fn times_have_the_microseconds_of_the_clock() {
    let clock = Clock::manual(noon());
    let fixture = SystemFixture::at(clock.clone()).await;

    let created = fixture
        .posts
        .create(draft(fixture.susan, "1"))
        .await
        .unwrap();
    clock.advance(Duration::from_micros(7));
    let updated = fixture
        .posts
        .update(rewrite(created.id, "2"))
        .await
        .unwrap();

    assert_eq!(micros(created.create_time), noon().timestamp_micros());
    assert_eq!(micros(updated.update_time), noon().timestamp_micros() + 7);
}

#[tokio::test]
async fn a_queued_creation_gets_the_time_of_its_execution() {
    let clock = Clock::manual(noon());
    let fixture = SystemFixture::at(clock.clone()).await;
    let first = fixture
        .posts
        .create(draft(fixture.susan, "1"))
        .await
        .unwrap();
    let posts = &fixture.posts;
    let creation = || Mutation::Create(draft(fixture.susan, "2"));
    let validated = CreatePostRequest {
        post: Some(draft(fixture.susan, "2")),
        validate_only: true,
        ..CreatePostRequest::default()
    };
    let lock = fixture.system.database().lock().await;

    let (created, validated, several, mixed, ()) = join!(
        posts.create(draft(fixture.susan, "2")),
        posts.create_by(validated),
        posts.commit(commit([creation(), creation()])),
        posts.commit(commit([
            creation(),
            Mutation::Update(rewrite(first.id, "3"))
        ])),
        async {
            // The server starts the calls of one connection in their order. When this call
            // returns, the calls before it are in the write queue.
            posts.get(first.id).await.unwrap();
            clock.advance(Duration::from_mins(1));
            lock.release().await;
        }
    );

    let mut written = vec![created.unwrap(), validated.unwrap()];
    let committed = [several.unwrap(), mixed.unwrap()].concat();
    written.extend(committed.into_iter().map(Option::unwrap));
    let waited = written
        .iter()
        .map(|post| micros(post.update_time) - noon().timestamp_micros());
    assert_eq!(waited.collect::<Vec<_>>(), [60_000_000; 6]);
}

#[tokio::test]
async fn creation_times_never_fall_after_the_clock_was_set_back() {
    let fixture = SystemFixture::at(Clock::manual(noon())).await;
    let first = fixture
        .posts
        .create(draft(fixture.susan, "1"))
        .await
        .unwrap();

    let fixture = fixture.restart(Clock::manual(DateTime::UNIX_EPOCH)).await;
    let second = fixture
        .posts
        .create(draft(fixture.susan, "2"))
        .await
        .unwrap();
    let third = fixture
        .posts
        .create_all(fixture.susan, ["3"])
        .await
        .remove(0);
    let list = ListPostsRequest {
        order_by: "create_time".into(),
        ..ListPostsRequest::default()
    };
    let listed = fixture.posts.list(list).await.unwrap();

    for post in [&second, &third] {
        assert_eq!(post.create_time, first.create_time);
        assert_eq!(post.update_time, first.create_time);
    }
    assert_eq!(bodies(&listed.posts), ["1", "2", "3"]);
}

#[tokio::test]
async fn batched_creation_times_never_fall_after_a_clock_reset() {
    let fixture = SystemFixture::at(Clock::manual(noon())).await;
    let first = fixture
        .posts
        .create(draft(fixture.susan, "1"))
        .await
        .unwrap();

    let fixture = fixture.restart(Clock::manual(DateTime::UNIX_EPOCH)).await;
    let created =
        join_all((2..18).map(|n| fixture.posts.create(draft(fixture.susan, &n.to_string()))));
    let committed = fixture.posts.create_all(fixture.susan, ["18", "19"]);
    let (created, committed) = join!(created, committed);

    let mut posts: Vec<Post> = created.into_iter().map(Result::unwrap).collect();
    posts.extend(committed);
    for post in &posts {
        assert_eq!(post.create_time, first.create_time);
    }
    posts.push(first);
    posts.sort_by_key(|post| post.id);
    assert_eq!(fixture.stored_bodies().await, bodies(&posts));
}

#[tokio::test]
async fn an_update_time_never_falls_after_the_clock_was_set_back() {
    let fixture = SystemFixture::at(Clock::manual(noon())).await;
    let created = fixture
        .posts
        .create(draft(fixture.susan, "1"))
        .await
        .unwrap();

    let fixture = fixture.restart(Clock::manual(DateTime::UNIX_EPOCH)).await;
    let updated = fixture
        .posts
        .update(rewrite(created.id, "2"))
        .await
        .unwrap();

    assert_eq!(updated.update_time, created.update_time);
    assert_ne!(updated.etag, created.etag);
}
