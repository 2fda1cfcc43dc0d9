//! The resolution of authors: calls to the user service, and the cache of nicknames.

use std::{
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use futures::future::join_all;
use proto::post::v1::{GetPostRequest, ListPostsRequest, Post, PostView, author::State};
use tonic::Request;

use super::{
    author,
    fake_user_service::{Behavior, Call},
    post_service_fixture::{FOREVER, PostServiceFixture},
};
use crate::support::within_timeout;

/// Returns a request for up to 1000 posts, oldest first.
fn all() -> ListPostsRequest {
    ListPostsRequest {
        page_size: 1000,
        order_by: "id".into(),
        ..ListPostsRequest::default()
    }
}

async fn list(fixture: &PostServiceFixture) -> Vec<Post> {
    fixture.posts.list(all()).await.unwrap().posts
}

/// Returns the ids in a call, in ascending order.
fn asked(call: &Call) -> Vec<i64> {
    let mut ids = call.ids.clone();
    ids.sort_unstable();
    ids
}

#[track_caller]
fn assert_resolved(posts: &[Post]) {
    for post in posts {
        let nickname = format!("user {}", post.author_id);
        assert_eq!(post.author, Some(author(State::Resolved, &nickname)));
    }
}

#[tokio::test]
async fn the_authors_of_a_page_are_looked_up_once_and_cached() {
    let fixture = PostServiceFixture::start(50).await;

    for _ in 0..2 {
        let posts = list(&fixture).await;

        assert_eq!(posts.len(), 50);
        assert_resolved(&posts);
        let calls: Vec<_> = fixture.users.calls().iter().map(asked).collect();
        assert_eq!(calls, [(1..=50).collect::<Vec<_>>()]);
    }
}

#[tokio::test]
async fn a_list_looks_up_only_uncached_authors() {
    let fixture = PostServiceFixture::start(10).await;
    list(&fixture).await;
    fixture.add(11..=13).await;

    let posts = list(&fixture).await;

    assert_resolved(&posts);
    let calls: Vec<_> = fixture.users.calls().iter().map(asked).collect();
    assert_eq!(calls[1..], [vec![11, 12, 13]]);
}

#[tokio::test]
async fn an_author_of_many_posts_is_looked_up_once() {
    let fixture = PostServiceFixture::start(1).await;
    let posts = fixture.posts.create_all(1, ["x"; 100]).await;

    let listed = list(&fixture).await;

    assert_eq!(listed.len(), posts.len() + 1);
    assert_resolved(&listed);
    let calls: Vec<_> = fixture.users.calls().iter().map(asked).collect();
    assert_eq!(calls, [[1]]);
}

#[tokio::test]
async fn expired_nicknames_are_looked_up_again_by_one_call() {
    let fixture = PostServiceFixture::with(50, |settings| {
        settings.authors.author_ttl = Duration::ZERO;
    })
    .await;

    for calls in 1..=3 {
        assert_resolved(&list(&fixture).await);
        assert_eq!(fixture.users.calls().len(), calls);
        assert_eq!(fixture.users.calls()[calls - 1].ids.len(), 50);
    }
}

#[tokio::test]
async fn a_changed_nickname_is_seen_after_a_refresh() {
    let ttl = Duration::from_millis(200);
    let fixture = PostServiceFixture::with(1, |settings| settings.authors.author_ttl = ttl).await;
    let started = Instant::now();
    let before = fixture.posts.get(1).await.unwrap();
    fixture.users.add_user(1, "sue");

    let seen = async {
        loop {
            let post = fixture.posts.get(1).await.unwrap();
            if post.author != before.author {
                return post;
            }
        }
    };
    let after = within_timeout(seen).await;

    assert!(started.elapsed() >= ttl / 2);
    assert_eq!(before.author, Some(author(State::Resolved, "user 1")));
    assert_eq!(after.author, Some(author(State::Resolved, "sue")));
    assert_eq!(fixture.users.calls().len(), 2);
}

#[tokio::test]
async fn a_cached_page_gets_refreshed_nicknames() {
    let ttl = Duration::from_millis(400);
    let fixture = PostServiceFixture::with(3, |settings| settings.authors.author_ttl = ttl).await;
    let before = list(&fixture).await;
    assert_resolved(&before);
    fixture.users.add_user(1, "sue");

    let seen = async {
        loop {
            let posts = list(&fixture).await;
            if posts != before {
                return posts;
            }
        }
    };
    let after = within_timeout(seen).await;

    assert_eq!(after[0].author, Some(author(State::Resolved, "sue")));
    assert_resolved(&after[1..]);
    assert_eq!(fixture.users.calls().len(), 2);
}

#[tokio::test]
async fn a_cached_page_is_returned_as_each_request_asks() {
    let fixture =
        PostServiceFixture::with(3, |settings| settings.authors.author_ttl = FOREVER).await;
    let full = list(&fixture).await;
    let basic = ListPostsRequest {
        view: PostView::Basic.into(),
        ..all()
    };
    let counted = ListPostsRequest {
        return_total_size: true,
        ..all()
    };
    let fewer = ListPostsRequest {
        page_size: 2,
        ..all()
    };

    for _ in 0..2 {
        assert_resolved(&list(&fixture).await);
        let basic = fixture.posts.list(basic.clone()).await.unwrap().posts;
        assert!(basic.len() == 3 && basic.iter().all(|post| post.author.is_none()));
        let counted = fixture.posts.list(counted.clone()).await.unwrap();
        assert_eq!((counted.posts, counted.total_size), (full.clone(), Some(3)));
        let fewer = fixture.posts.list(fewer.clone()).await.unwrap();
        assert_eq!(fewer.posts, full[..2]);
        assert_ne!(fewer.next_page_token, "");
    }
}

#[tokio::test]
async fn frequently_requested_authors_are_refreshed_in_background() {
    let ttl = Duration::from_secs(2);
    let fixture = PostServiceFixture::with(50, |settings| {
        settings.authors.author_ttl = ttl;
        settings.authors.author_lookup_timeout = FOREVER;
        settings.authors.user_service_timeout = FOREVER;
    })
    .await;
    assert_resolved(&list(&fixture).await);
    fixture.users.set_behavior(Behavior::Hang);

    let asked_again = async {
        while fixture.users.calls().len() < 2 {
            // A list that waited for the refresh would hang.
            assert_resolved(&list(&fixture).await);
        }
    };
    within_timeout(asked_again).await;

    let calls: Vec<_> = fixture.users.calls().iter().map(asked).collect();
    let all: Vec<_> = (1..=50).collect();
    assert_eq!(calls, [all.clone(), all]);
    fixture.users.release();
}

#[tokio::test]
async fn concurrent_lookups_of_one_author_share_a_call() {
    let fixture = PostServiceFixture::with(1, |settings| {
        settings.authors.author_lookup_timeout = FOREVER;
    })
    .await;
    fixture.users.set_behavior(Behavior::Hang);

    let gets = join_all((0..50).map(|_| fixture.posts.get(1)));
    let answer = async {
        fixture.users.called(1).await;
        fixture.users.release();
    };
    let (posts, ()) = within_timeout(futures::future::join(gets, answer)).await;

    let posts: Vec<_> = posts.into_iter().map(Result::unwrap).collect();
    assert_eq!(posts.len(), 50);
    assert_resolved(&posts);
    assert_eq!(fixture.users.calls().len(), 1);
}

#[tokio::test]
async fn concurrent_lookups_of_other_authors_do_not_wait() {
    let fixture = PostServiceFixture::with(3, |settings| {
        settings.authors.author_lookup_timeout = FOREVER;
    })
    .await;
    fixture.users.set_behavior(Behavior::Hang);
    let first = tokio::spawn({
        let posts = fixture.posts.clone();
        async move { posts.get(1).await }
    });
    fixture.users.called(1).await;
    fixture.users.set_behavior(Behavior::Respond);

    let second = within_timeout(fixture.posts.get(2)).await.unwrap();
    // The page has three authors: a lookup of the first runs, and the second is cached.
    let page = tokio::spawn({
        let posts = fixture.posts.clone();
        async move { posts.list(all()).await }
    });
    fixture.users.called(3).await;
    fixture.users.release();
    let (first, page) = (
        within_timeout(first).await.unwrap(),
        within_timeout(page).await.unwrap(),
    );

    assert_resolved(&[first.unwrap(), second]);
    assert_resolved(&page.unwrap().posts);
    let calls: Vec<_> = fixture.users.calls().iter().map(asked).collect();
    assert_eq!(calls, [[1], [2], [3]]);
}

#[tokio::test]
async fn the_basic_view_looks_up_no_author() {
    let fixture = PostServiceFixture::start(3).await;
    let view = PostView::Basic.into();

    let post = fixture.posts.get_by(GetPostRequest { id: 1, view }).await;
    let page = fixture.posts.list(ListPostsRequest { view, ..all() }).await;

    let mut posts = page.unwrap().posts;
    posts.push(post.unwrap());
    assert_eq!(posts.len(), 4);
    assert!(posts.iter().all(|post| post.author.is_none()));
    assert_eq!(fixture.users.calls(), []);
}

#[tokio::test]
async fn an_empty_page_looks_up_no_author() {
    let fixture = PostServiceFixture::start(0).await;

    assert_eq!(list(&fixture).await, []);

    assert_eq!(fixture.users.calls(), []);
}

#[tokio::test]
async fn a_missing_author_is_shown_as_deleted_and_not_cached() {
    let fixture = PostServiceFixture::start(2).await;
    fixture.users.remove_user(1);

    let before = list(&fixture).await;
    fixture.users.add_user(1, "again");
    let after = list(&fixture).await;

    assert_eq!(before[0].author, Some(author(State::Deleted, "")));
    assert_eq!(before[1].author, Some(author(State::Resolved, "user 2")));
    assert_eq!(after[0].author, Some(author(State::Resolved, "again")));
    let calls: Vec<_> = fixture.users.calls().iter().map(asked).collect();
    assert_eq!(calls, [vec![1, 2], vec![1]]);
}

#[tokio::test]
async fn an_author_found_missing_is_evicted() {
    let mut fixture = PostServiceFixture::with(1, |settings| {
        settings.authors.author_ttl = Duration::ZERO;
    })
    .await;
    fixture.posts.get(1).await.unwrap();
    fixture.users.remove_user(1);

    let missing = fixture.posts.get(1).await.unwrap();
    fixture.stop_users().await;
    let unavailable = fixture.posts.get(1).await.unwrap();

    assert_eq!(missing.author, Some(author(State::Deleted, "")));
    assert_eq!(unavailable.author, Some(author(State::Unavailable, "")));
}

#[tokio::test]
async fn the_author_cache_does_not_exceed_its_capacity() {
    let fixture = PostServiceFixture::with(1000, |settings| {
        settings.authors.author_cache_capacity = NonZeroUsize::new(10).unwrap();
    })
    .await;

    assert_resolved(&list(&fixture).await);
    assert_resolved(&list(&fixture).await);

    let calls = fixture.users.calls();
    assert_eq!(calls[0].ids.len(), 1000);
    assert!(calls[1].ids.len() >= 990, "{}", calls[1].ids.len());
}

#[tokio::test]
async fn the_deadline_of_the_caller_is_sent_to_the_user_service() {
    let limit = Duration::from_secs(20);
    let fixture = PostServiceFixture::with(3, |settings| {
        settings.authors.user_service_timeout = limit;
    })
    .await;
    let get = |id| Request::new(GetPostRequest { id, view: 0 });
    let hasty = Duration::from_secs(5);
    let mut in_haste = get(1);
    in_haste.set_timeout(hasty);
    let mut at_leisure = get(2);
    at_leisure.set_timeout(FOREVER);

    for request in [in_haste, at_leisure, get(3)] {
        fixture.posts.client().get_post(request).await.unwrap();
    }

    let calls = fixture.users.calls();
    let told: Vec<_> = calls.iter().map(|call| call.timeout.unwrap()).collect();
    assert!(told[0] < hasty, "{told:?}");
    assert!(told[0] > hasty / 2, "{told:?}");
    for told in &told[1..] {
        assert!(*told <= limit && *told > limit / 2, "{told:?}");
    }
}

#[tokio::test]
async fn the_request_id_of_the_caller_is_sent_to_the_user_service() {
    let fixture = PostServiceFixture::start(2).await;
    let mut given = Request::new(GetPostRequest { id: 1, view: 0 });
    given
        .metadata_mut()
        .insert("x-request-id", "order-7/a".parse().unwrap());
    let none = Request::new(GetPostRequest { id: 2, view: 0 });

    let mut answered = Vec::new();
    for request in [given, none] {
        let response = fixture.posts.client().get_post(request).await.unwrap();
        let id = response.metadata().get("x-request-id").unwrap();
        answered.push(Some(id.to_str().unwrap().to_owned()));
    }

    let calls = fixture.users.calls();
    let told: Vec<_> = calls.into_iter().map(|call| call.request_id).collect();
    assert_eq!(told[0].as_deref(), Some("order-7/a"));
    assert_eq!(told, answered);
    assert_ne!(told[0], told[1]);
}
