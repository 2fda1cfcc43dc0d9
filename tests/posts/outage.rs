//! Reads while the user service hangs, fails or is down: they respond in time, with the last
//! cached nicknames.

use std::{
    future::Future,
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use proto::post::v1::{GetPostRequest, ListPostsRequest, ListPostsResponse, Post, author::State};
use tonic::{Request, Status};

use super::{
    author,
    fake_user_service::Behavior,
    post_service_fixture::{FOREVER, PostServiceFixture},
};
use crate::support::within_timeout;

/// The maximum duration of a read, however slow the user service is.
const BOUND: Duration = Duration::from_millis(250);

/// The number of tries to be within the bound. Other processes on the machine may delay some
/// tries, but not all.
const TRIES: usize = 5;

/// A failure of the user service.
#[derive(Clone, Copy, Debug)]
enum Outage {
    Hangs,
    Fails,
    Down,
}

const OUTAGES: [Outage; 3] = [Outage::Hangs, Outage::Fails, Outage::Down];

/// Starts a service in which every cached nickname has expired.
async fn with_expired_cache(users: i64) -> PostServiceFixture {
    PostServiceFixture::with(users, |settings| {
        settings.authors.author_ttl = Duration::ZERO;
    })
    .await
}

impl PostServiceFixture {
    async fn start_outage(&mut self, outage: Outage) {
        match outage {
            Outage::Hangs => self.users.set_behavior(Behavior::Hang),
            Outage::Fails => self.users.set_behavior(Behavior::Fail),
            Outage::Down => self.stop_users().await,
        }
    }
}

/// Returns the result of the first try that is within the bound.
async fn within_bound<T, F>(mut read: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, Status>>,
{
    let mut took = Vec::new();
    for _ in 0..TRIES {
        let started = Instant::now();
        let result = read().await.unwrap();
        took.push(started.elapsed());
        if took.last() < Some(&BOUND) {
            return result;
        }
    }
    panic!("it always took too long: {took:?}");
}

async fn list(fixture: &PostServiceFixture) -> Result<ListPostsResponse, Status> {
    fixture.posts.list(ListPostsRequest::default()).await
}

#[track_caller]
fn assert_unavailable(posts: &[Post], nickname: impl Fn(&Post) -> String) {
    for post in posts {
        let nickname = nickname(post);
        assert_eq!(post.author, Some(author(State::Unavailable, &nickname)));
    }
}

#[tokio::test]
async fn reads_return_stale_nicknames_in_time_during_an_outage() {
    for outage in OUTAGES {
        let mut fixture = with_expired_cache(50).await;
        list(&fixture).await.unwrap();
        fixture.start_outage(outage).await;

        let post = within_bound(|| fixture.posts.get(7)).await;
        let page = within_bound(|| list(&fixture)).await;

        assert_eq!(page.posts.len(), 50, "{outage:?}");
        let known = |post: &Post| format!("user {}", post.author_id);
        assert_unavailable(&[post], known);
        assert_unavailable(&page.posts, known);
    }
}

#[tokio::test]
async fn reads_return_no_nicknames_in_time_if_none_is_cached() {
    for outage in OUTAGES {
        let mut fixture = with_expired_cache(50).await;
        fixture.start_outage(outage).await;

        let post = within_bound(|| fixture.posts.get(7)).await;
        let page = within_bound(|| list(&fixture)).await;

        assert_eq!(page.posts.len(), 50, "{outage:?}");
        assert_unavailable(&[post], |_| String::new());
        assert_unavailable(&page.posts, |_| String::new());
    }
}

#[tokio::test]
async fn a_read_waits_for_a_timely_response() {
    let fixture = PostServiceFixture::with(1, |settings| {
        settings.authors.author_lookup_timeout = FOREVER;
    })
    .await;
    fixture.users.set_behavior(Behavior::Hang);
    let post = tokio::spawn({
        let posts = fixture.posts.clone();
        async move { posts.get(1).await }
    });

    fixture.users.called(1).await;
    fixture.users.release();

    let post = within_timeout(post).await.unwrap().unwrap();
    assert_eq!(post.author, Some(author(State::Resolved, "user 1")));
}

#[tokio::test]
async fn a_late_response_is_cached_for_the_next_read() {
    let fixture = PostServiceFixture::with(1, |settings| {
        settings.authors.user_service_timeout = FOREVER;
    })
    .await;
    fixture.users.set_behavior(Behavior::Hang);
    let unresolved = fixture.posts.get(1).await.unwrap();

    fixture.users.release();
    let resolved = async {
        loop {
            let post = fixture.posts.get(1).await.unwrap();
            if post.author != unresolved.author {
                return post;
            }
        }
    };
    let post = within_timeout(resolved).await;

    assert_eq!(unresolved.author, Some(author(State::Unavailable, "")));
    assert_eq!(post.author, Some(author(State::Resolved, "user 1")));
    assert_eq!(fixture.users.calls().len(), 1);
}

#[tokio::test]
async fn a_short_deadline_does_not_fail_joined_callers() {
    let fixture = PostServiceFixture::with(1, |settings| {
        settings.authors.author_lookup_timeout = FOREVER;
        settings.authors.user_service_timeout = FOREVER;
    })
    .await;
    fixture.users.set_behavior(Behavior::Hang);
    let mut request = Request::new(GetPostRequest { id: 1, view: 0 });
    request.set_timeout(Duration::from_millis(300));
    let hasty = tokio::spawn({
        let mut client = fixture.posts.client();
        async move { client.get_post(request).await }
    });
    fixture.users.called(1).await;
    fixture.users.set_behavior(Behavior::Respond);

    // It joins the call with the short deadline, and then starts another call.
    let patient = within_timeout(fixture.posts.get(1)).await.unwrap();

    assert_eq!(patient.author, Some(author(State::Resolved, "user 1")));
    let calls = fixture.users.calls();
    assert_eq!(calls.len(), 2);
    assert!(calls[0].timeout < calls[1].timeout, "{calls:?}");
    if let Ok(post) = within_timeout(hasty).await.unwrap() {
        let post = post.into_inner().post.unwrap();
        assert_eq!(post.author, Some(author(State::Unavailable, "")));
    }
}

#[tokio::test]
async fn a_failed_lookup_is_not_cached() {
    let fixture = PostServiceFixture::with(1, |settings| {
        settings.authors.author_lookup_timeout = FOREVER;
    })
    .await;
    fixture.users.set_behavior(Behavior::Fail);
    let failed = fixture.posts.get(1).await.unwrap();

    fixture.users.set_behavior(Behavior::Respond);
    let post = fixture.posts.get(1).await.unwrap();

    assert_eq!(failed.author, Some(author(State::Unavailable, "")));
    assert_eq!(post.author, Some(author(State::Resolved, "user 1")));
    assert_eq!(fixture.users.calls().len(), 2);
}

#[tokio::test]
async fn calls_to_the_user_service_do_not_exceed_the_limit() {
    let fixture = PostServiceFixture::with(3, |settings| {
        settings.authors.user_service_max_concurrent_calls = NonZeroUsize::MIN;
        settings.authors.user_service_timeout = FOREVER;
    })
    .await;
    fixture.users.set_behavior(Behavior::Hang);
    let first = fixture.posts.get(1).await.unwrap();
    fixture.users.set_behavior(Behavior::Respond);

    let second = fixture.posts.get(2).await.unwrap();
    let called = fixture.users.calls().len();
    fixture.users.release();
    fixture.users.called(2).await;

    for post in [first, second] {
        assert_eq!(post.author, Some(author(State::Unavailable, "")));
    }
    assert_eq!(called, 1);
}

#[tokio::test]
async fn a_restarted_user_service_is_called_again() {
    let mut fixture = with_expired_cache(1).await;
    fixture.posts.get(1).await.unwrap();
    fixture.stop_users().await;
    let stale = fixture.posts.get(1).await.unwrap();
    fixture.users.add_user(1, "again");
    fixture.restart_users().await;

    let resolved = async {
        loop {
            let author = fixture.posts.get(1).await.unwrap().author.unwrap();
            if author.state() == State::Resolved {
                return author;
            }
        }
    };
    let resolved = within_timeout(resolved).await;

    assert_eq!(stale.author, Some(author(State::Unavailable, "user 1")));
    assert_eq!(resolved.nickname, "again");
}

#[tokio::test]
async fn a_call_that_may_be_unsent_is_retried() {
    let fixture = PostServiceFixture::start(1).await;
    fixture.users.set_behavior(Behavior::RefuseOne);

    let post = fixture.posts.get(1).await.unwrap();

    assert_eq!(post.author, Some(author(State::Resolved, "user 1")));
    let calls = fixture.users.calls();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].ids, calls[1].ids);
    assert_eq!(calls[0].request_id, calls[1].request_id);
    assert!(calls[1].timeout < calls[0].timeout, "{calls:?}");
}

#[tokio::test]
async fn a_restart_between_two_calls_fails_no_call() {
    let mut fixture = with_expired_cache(1).await;
    fixture.posts.get(1).await.unwrap();
    fixture.stop_users().await;
    fixture.restart_users().await;

    let post = fixture.posts.get(1).await.unwrap();

    assert_eq!(post.author, Some(author(State::Resolved, "user 1")));
}
