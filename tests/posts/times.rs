//! Creation and update times.

use std::time::Duration;

use chassis::process::clock::Clock;
use chrono::{DateTime, Utc};
use futures::{future::join_all, join};
use prost_types::Timestamp;
use proto::post::v1::{ListPostsRequest, Post};

use super::{blog::Blog, bodies, draft, rewrite};

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_800_000_000_123_456).unwrap()
}

fn micros(timestamp: Option<Timestamp>) -> i64 {
    let Timestamp { seconds, nanos } = timestamp.unwrap();
    assert_eq!(nanos % 1000, 0, "it is no whole microsecond");
    seconds * 1_000_000 + i64::from(nanos) / 1000
}

#[tokio::test]
async fn times_are_those_of_the_clock_to_the_microsecond() {
    let clock = Clock::manual(noon());
    let blog = Blog::at(clock.clone()).await;

    let created = blog.posts.create(draft(blog.susan, "1")).await.unwrap();
    clock.advance(Duration::from_micros(7));
    let updated = blog.posts.update(rewrite(created.id, "2")).await.unwrap();

    assert_eq!(micros(created.create_time), noon().timestamp_micros());
    assert_eq!(micros(updated.update_time), noon().timestamp_micros() + 7);
}

#[tokio::test]
async fn no_post_is_earlier_than_one_before_though_the_clock_was_put_back() {
    let blog = Blog::at(Clock::manual(noon())).await;
    let first = blog.posts.create(draft(blog.susan, "1")).await.unwrap();

    let blog = blog.restart(Clock::manual(DateTime::UNIX_EPOCH)).await;
    let second = blog.posts.create(draft(blog.susan, "2")).await.unwrap();
    let third = blog.posts.create_all(blog.susan, ["3"]).await.remove(0);
    let list = ListPostsRequest {
        order_by: "create_time".into(),
        ..ListPostsRequest::default()
    };
    let listed = blog.posts.list(list).await.unwrap();

    for post in [&second, &third] {
        assert_eq!(post.create_time, first.create_time);
        assert_eq!(post.update_time, first.create_time);
    }
    assert_eq!(bodies(&listed.posts), ["1", "2", "3"]);
}

#[tokio::test]
async fn no_post_of_several_at_once_is_earlier_than_one_before() {
    let blog = Blog::at(Clock::manual(noon())).await;
    let first = blog.posts.create(draft(blog.susan, "1")).await.unwrap();

    let blog = blog.restart(Clock::manual(DateTime::UNIX_EPOCH)).await;
    let created = join_all((2..18).map(|n| blog.posts.create(draft(blog.susan, &n.to_string()))));
    let committed = blog.posts.create_all(blog.susan, ["18", "19"]);
    let (created, committed) = join!(created, committed);

    let mut posts: Vec<Post> = created.into_iter().map(Result::unwrap).collect();
    posts.extend(committed);
    for post in &posts {
        assert_eq!(post.create_time, first.create_time);
    }
    posts.push(first);
    posts.sort_by_key(|post| post.id);
    assert_eq!(blog.stored_bodies().await, bodies(&posts));
}

#[tokio::test]
async fn an_update_time_never_falls_though_the_clock_was_put_back() {
    let blog = Blog::at(Clock::manual(noon())).await;
    let created = blog.posts.create(draft(blog.susan, "1")).await.unwrap();

    let blog = blog.restart(Clock::manual(DateTime::UNIX_EPOCH)).await;
    let updated = blog.posts.update(rewrite(created.id, "2")).await.unwrap();

    assert_eq!(updated.update_time, created.update_time);
    assert_ne!(updated.etag, created.etag);
}
