//! Failures of whole calls: malformed messages, and a database that does not respond in time.

use std::{num::NonZeroUsize, time::Duration};

use futures::future::join_all;
use proto::post::v1::{ListPostsRequest, post_mutation::Mutation};
use tonic::{Code, Request, Status, client::Grpc, codegen::http::uri::PathAndQuery};
use tonic_prost::ProstCodec;

use super::{
    assert_refused, assert_violation, basic, commit, delete, draft, masked,
    post_service_fixture::FOREVER, rewrite, system_fixture::SystemFixture,
};
use crate::support::{connect, within_timeout};

/// Sends `bytes` as the first field of a request to `method`.
async fn call(fixture: &SystemFixture, method: &str, bytes: Vec<u8>) -> Status {
    let mut grpc = Grpc::new(connect(fixture.system.posts_address));
    grpc.ready().await.unwrap();
    let path = format!("/{}/{method}", post_service::NAME);
    let path = PathAndQuery::try_from(path).unwrap();
    // On the wire, `Vec<u8>` is a message with the bytes as field 1.
    let codec = ProstCodec::<Vec<u8>, ()>::default();
    grpc.unary(Request::new(bytes), path, codec)
        .await
        .unwrap_err()
}

#[tokio::test]
async fn a_malformed_message_is_rejected() {
    let fixture = SystemFixture::start().await;

    for (method, bytes) in [
        // The id has the wire type of a string.
        ("GetPost", b"1".to_vec()),
        // The message of the post is truncated.
        ("CreatePost", vec![0x12, 0x05, b'x']),
        // The body is not UTF-8.
        ("CreatePost", vec![0x12, 0x01, 0xff]),
        // The wire type of the tag does not exist.
        ("CreatePost", vec![0x07]),
    ] {
        let status = call(&fixture, method, bytes).await;

        assert_refused(&status, Code::InvalidArgument, "MALFORMED_MESSAGE");
    }
    assert_eq!(fixture.stored().await, [""; 0]);
}

#[tokio::test]
async fn violations_of_long_or_many_values_fit_the_status() {
    let fixture = SystemFixture::start().await;
    let wrong = std::iter::repeat_n(Mutation::Create(draft(0, "")), 1000);
    let unordered = ListPostsRequest {
        order_by: "x".repeat(100_000),
        ..ListPostsRequest::default()
    };
    let long = "x".repeat(100_000);

    let committed = fixture.posts.commit(commit(wrong)).await.unwrap_err();
    let listed = fixture.posts.list(unordered).await.unwrap_err();
    let masked = masked(rewrite(1, "x"), &[&long]);
    let updated = fixture.posts.update(masked).await.unwrap_err();

    assert_refused(&committed, Code::InvalidArgument, "INVALID_FIELD");
    assert_violation(&listed, "INVALID_ORDER_BY", "order_by");
    assert_violation(&updated, "UNKNOWN_MASK_PATH", "update_mask");
}

#[tokio::test]
async fn a_message_over_the_limit_is_rejected() {
    let fixture = SystemFixture::with(|settings| {
        settings.server.max_message_bytes = NonZeroUsize::new(1000).unwrap();
    })
    .await;

    let status = fixture
        .posts
        .create(draft(fixture.susan, &"a".repeat(1000)))
        .await
        .unwrap_err();

    assert_refused(&status, Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
    assert_eq!(fixture.stored().await, [""; 0]);
}

#[tokio::test]
async fn a_write_fails_when_lock_timeout_expires() {
    let fixture = SystemFixture::with(|settings| {
        settings.database.lock_timeout = Duration::from_millis(50);
    })
    .await;
    let post = fixture
        .posts
        .create(draft(fixture.susan, "1"))
        .await
        .unwrap();
    let before = fixture.stored().await;
    let lock = fixture.system.database().lock().await;

    let created = fixture.posts.create(draft(fixture.susan, "2")).await;
    let updated = fixture.posts.update(rewrite(post.id, "2")).await;
    let deleted = fixture.posts.delete(delete(post.id)).await;
    let read = fixture.posts.get(post.id).await;
    let stored = fixture.stored().await;
    lock.release().await;
    let afterwards = fixture.posts.create(draft(fixture.susan, "3")).await;

    for status in [
        created.unwrap_err(),
        updated.unwrap_err(),
        deleted.unwrap_err(),
    ] {
        assert_refused(&status, Code::Unavailable, "DATABASE_BUSY");
    }
    assert_eq!(basic(&read.unwrap()), basic(&post));
    assert_eq!(stored, before);
    assert!(afterwards.is_ok());
    assert_eq!(fixture.stored_bodies().await, ["1", "3"]);
}

#[tokio::test]
async fn a_write_is_rejected_immediately_if_the_queue_is_full() {
    let fixture = SystemFixture::with(|settings| {
        // The first permit is for the write of the service at its start.
        settings.database.write_queue_capacity = NonZeroUsize::new(2).unwrap();
        settings.database.max_write_batch = NonZeroUsize::MIN;
        settings.database.lock_timeout = Duration::from_secs(1);
        settings.authors.author_ttl = FOREVER;
    })
    .await;
    fixture
        .posts
        .create(draft(fixture.susan, "1"))
        .await
        .unwrap();
    let lock = fixture.system.database().lock().await;

    let results = join_all((0..10).map(|_| fixture.posts.create(draft(fixture.susan, "x")))).await;
    drop(lock);

    let (busy, overloaded): (Vec<_>, Vec<_>) = results
        .into_iter()
        .map(Result::unwrap_err)
        .partition(|status| status.message().contains("another process"));
    for status in &busy {
        assert_refused(status, Code::Unavailable, "DATABASE_BUSY");
    }
    for status in &overloaded {
        assert_refused(status, Code::Unavailable, "OVERLOADED");
    }
    // Two creations are queued, and one may be executing.
    assert!([2, 3].contains(&busy.len()), "{busy:?}");
    assert_eq!(fixture.stored_bodies().await, ["1"]);
}

#[tokio::test]
async fn a_call_ends_when_call_timeout_expires() {
    let fixture = SystemFixture::with(|settings| {
        settings.server.call_timeout = Duration::from_millis(200);
        settings.database.lock_timeout = Duration::from_mins(1);
    })
    .await;
    let lock = fixture.system.database().lock().await;

    let status = within_timeout(fixture.posts.create(draft(fixture.susan, "1")))
        .await
        .unwrap_err();

    assert_refused(&status, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    lock.release().await;
    // A write whose caller has left is not executed.
    fixture
        .posts
        .create(draft(fixture.susan, "2"))
        .await
        .unwrap();
    assert_eq!(fixture.stored_bodies().await, ["2"]);
}
