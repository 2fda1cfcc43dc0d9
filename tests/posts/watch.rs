//! `WatchPosts`: the posts of a stream, and its end.

use std::{num::NonZeroUsize, time::Duration};

use proto::post::v1::{Post, PostView, PurgePostsRequest, WatchPostsRequest, author::State};
use tonic::{Code, Request};

use super::{
    assert_refused, author, basic, delete, draft, ids, rewrite,
    system_fixture::{PostStream, SystemFixture},
};
use crate::support::within_timeout;

/// The timeout of unary calls in one of these tests.
const CALL_TIMEOUT: Duration = Duration::from_secs(1);

fn after(after_id: i64) -> WatchPostsRequest {
    WatchPostsRequest {
        after_id: Some(after_id),
        ..WatchPostsRequest::default()
    }
}

fn new_posts() -> WatchPostsRequest {
    WatchPostsRequest::default()
}

async fn with_one_permit() -> SystemFixture {
    SystemFixture::with(|settings| settings.watch.max_watchers = NonZeroUsize::MIN).await
}

/// Watches as soon as the limit of watchers permits.
async fn watch_when_permitted(fixture: &SystemFixture, request: WatchPostsRequest) -> PostStream {
    let watching = async {
        loop {
            match fixture.posts.watch(request).await {
                Ok(watching) => return watching,
                Err(status) => assert_refused(&status, Code::Unavailable, "OVERLOADED"),
            }
        }
    };
    within_timeout(watching).await
}

#[tokio::test]
async fn stored_posts_arrive_before_new_posts() {
    let fixture = SystemFixture::start().await;
    fixture.posts.create_all(fixture.susan, ["x"; 3]).await;

    let mut watching = fixture.posts.watch(after(1)).await.unwrap();
    let there = watching.ids(2).await;
    fixture.posts.create_all(fixture.john, ["x"; 2]).await;
    fixture
        .posts
        .create(draft(fixture.susan, "x"))
        .await
        .unwrap();
    let new = watching.ids(3).await;

    assert_eq!(there, [2, 3]);
    assert_eq!(new, [4, 5, 6]);
}

#[tokio::test]
async fn only_new_posts_arrive_without_after_id() {
    let fixture = SystemFixture::start().await;
    fixture.posts.create_all(fixture.susan, ["x"; 3]).await;

    let mut watching = fixture.posts.watch(new_posts()).await.unwrap();
    fixture
        .posts
        .create(draft(fixture.susan, "x"))
        .await
        .unwrap();
    fixture
        .posts
        .create(draft(fixture.susan, "x"))
        .await
        .unwrap();

    assert_eq!(watching.ids(2).await, [4, 5]);
}

#[tokio::test]
async fn only_higher_ids_arrive_after_a_future_id() {
    let fixture = SystemFixture::start().await;
    fixture.posts.create_all(fixture.susan, ["x"; 3]).await;

    let mut watching = fixture.posts.watch(after(5)).await.unwrap();
    let mut another = fixture.posts.watch(new_posts()).await.unwrap();
    for id in 4..=7 {
        fixture
            .posts
            .create(draft(fixture.susan, "x"))
            .await
            .unwrap();
        assert_eq!(another.ids(1).await, [id]);
    }

    assert_eq!(watching.ids(2).await, [6, 7]);
}

#[tokio::test]
async fn a_watch_can_be_limited_to_one_author() {
    let fixture = SystemFixture::start().await;
    let (susan, john) = (fixture.susan, fixture.john);
    for author in [susan, john, susan] {
        fixture.posts.create(draft(author, "x")).await.unwrap();
    }
    let of = |author, after_id| WatchPostsRequest {
        author_id: Some(author),
        after_id,
        ..WatchPostsRequest::default()
    };

    let mut hers = fixture.posts.watch(of(susan, Some(0))).await.unwrap();
    let mut her_new = fixture.posts.watch(of(susan, None)).await.unwrap();
    let mut his = fixture.posts.watch(of(john, Some(0))).await.unwrap();
    let there = (hers.ids(2).await, his.ids(1).await);
    for author in [john, susan, susan, john] {
        fixture.posts.create(draft(author, "x")).await.unwrap();
    }

    assert_eq!(there, (vec![1, 3], vec![2]));
    assert_eq!(hers.ids(2).await, [5, 6]);
    assert_eq!(her_new.ids(2).await, [5, 6]);
    assert_eq!(his.ids(2).await, [4, 7]);
}

#[tokio::test]
async fn only_the_full_view_includes_the_author() {
    let fixture = SystemFixture::start().await;
    let created = fixture
        .posts
        .create(draft(fixture.susan, "é"))
        .await
        .unwrap();
    let in_view = |view: PostView| WatchPostsRequest {
        view: view.into(),
        ..after(0)
    };

    for (view, shown) in [
        (
            PostView::Unspecified,
            Some(author(State::Resolved, "susan")),
        ),
        (PostView::Full, Some(author(State::Resolved, "susan"))),
        (PostView::Basic, None),
    ] {
        let mut watching = fixture.posts.watch(in_view(view)).await.unwrap();
        let there = watching.next().await.unwrap();
        let new = fixture
            .posts
            .create(draft(fixture.susan, "new"))
            .await
            .unwrap();
        let come = loop {
            let post = watching.next().await.unwrap();
            if post.id == new.id {
                break post;
            }
        };

        assert_eq!(basic(&there), basic(&created));
        assert_eq!(basic(&come), basic(&new));
        assert_eq!((&there.author, &come.author), (&shown, &shown));
    }
}

#[tokio::test]
async fn each_watcher_gets_posts_in_the_requested_view() {
    let fixture = SystemFixture::start().await;
    let (susan, john) = (fixture.susan, fixture.john);
    let watch = |view: PostView, author_id| {
        let request = WatchPostsRequest {
            view: view.into(),
            author_id,
            ..new_posts()
        };
        fixture.posts.watch(request)
    };
    let mut full = watch(PostView::Full, None).await.unwrap();
    let mut full_too = watch(PostView::Full, None).await.unwrap();
    let mut basic = watch(PostView::Basic, None).await.unwrap();
    let mut his = watch(PostView::Full, Some(john)).await.unwrap();

    for author in [susan, john, susan] {
        fixture.posts.create(draft(author, "x")).await.unwrap();
    }

    let shown = ["susan", "john", "susan"].map(|name| Some(author(State::Resolved, name)));
    for (id, shown) in (1..).zip(shown) {
        let posts = [&mut full, &mut full_too, &mut basic].map(PostStream::next);
        let [full, full_too, basic] = posts;
        let (full, full_too) = (full.await.unwrap(), full_too.await.unwrap());
        assert_eq!((full.id, &full.author), (id, &shown));
        assert_eq!(full, full_too);
        assert_eq!(
            basic.await.unwrap(),
            Post {
                author: None,
                ..full
            }
        );
    }
    assert_eq!(his.ids(1).await, [2]);
}

#[tokio::test]
async fn a_watch_skips_deleted_posts_and_sends_the_current_state() {
    let fixture = SystemFixture::start().await;
    fixture.posts.create_all(fixture.susan, ["x"; 4]).await;
    fixture.posts.delete(delete(2)).await.unwrap();
    fixture.posts.update(rewrite(3, "changed")).await.unwrap();

    let mut watching = fixture.posts.watch(after(0)).await.unwrap();
    let first = watching.next().await.unwrap();
    let third = watching.next().await.unwrap();
    let fourth = watching.next().await.unwrap();

    assert_eq!(ids(&[first, third.clone(), fourth]), [1, 3, 4]);
    assert_eq!(third.body, "changed");
}

#[tokio::test]
async fn a_new_post_arrives_after_the_newest_was_deleted() {
    let fixture = SystemFixture::start().await;
    fixture.posts.create_all(fixture.susan, ["x"; 3]).await;
    let mut watching = fixture.posts.watch(new_posts()).await.unwrap();
    let purge = PurgePostsRequest {
        selection: Some(proto::post::v1::purge_posts_request::Selection::All(true)),
        force: true,
    };
    fixture.posts.purge(purge).await.unwrap();
    let mut later = fixture.posts.watch(new_posts()).await.unwrap();

    fixture
        .posts
        .create(draft(fixture.susan, "x"))
        .await
        .unwrap();

    assert_eq!(watching.ids(1).await, [4]);
    assert_eq!(later.ids(1).await, [4]);
}

#[tokio::test]
async fn a_subscription_after_a_restore_gets_reused_ids() {
    let fixture = SystemFixture::start().await;
    fixture.posts.create_all(fixture.susan, ["x"; 5]).await;
    let mut before = fixture.posts.watch(after(0)).await.unwrap();
    assert_eq!(before.ids(5).await, [1, 2, 3, 4, 5]);
    // The feed has most likely read by then. If not, the test is weaker, and does not fail.
    tokio::time::sleep(Duration::from_millis(100)).await;
    // Simulate the restore of a backup with one post.
    let database = fixture.system.database();
    database.execute("delete from posts where id > 1").await;
    database.restart_ids("posts", 1).await;
    let mut later = fixture.posts.watch(new_posts()).await.unwrap();

    // The first post may be created before the feed reads, and the second one after that.
    for id in [2, 3] {
        let created = fixture
            .posts
            .create(draft(fixture.susan, "x"))
            .await
            .unwrap();
        assert_eq!(created.id, id);
        assert_eq!(later.ids(1).await, [id]);
    }
    // Now the database has more posts than before the restore.
    fixture.posts.create_all(fixture.susan, ["x"; 3]).await;
    assert_eq!(later.ids(3).await, [4, 5, 6]);
}

#[tokio::test]
async fn a_watcher_resumes_after_the_last_id_that_it_saw() {
    let fixture = with_one_permit().await;
    fixture.posts.create_all(fixture.susan, ["x"; 3]).await;
    let mut watching = fixture.posts.watch(after(0)).await.unwrap();
    let mut seen = watching.ids(2).await;
    drop(watching);

    fixture.posts.create_all(fixture.susan, ["x"; 2]).await;
    let mut watching = watch_when_permitted(&fixture, after(2)).await;
    seen.extend(watching.ids(3).await);
    fixture.posts.create_all(fixture.susan, ["x"; 1]).await;
    seen.extend(watching.ids(1).await);

    assert_eq!(seen, [1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn only_new_posts_arrive_after_a_time_without_watchers() {
    let fixture = with_one_permit().await;
    let mut watching = fixture.posts.watch(new_posts()).await.unwrap();
    fixture
        .posts
        .create(draft(fixture.susan, "x"))
        .await
        .unwrap();
    assert_eq!(watching.ids(1).await, [1]);
    drop(watching);
    // The limit permits one watcher, so the first one has left when this one succeeds.
    drop(watch_when_permitted(&fixture, new_posts()).await);
    fixture.posts.create_all(fixture.susan, ["x"; 5]).await;

    let mut watching = watch_when_permitted(&fixture, new_posts()).await;
    fixture
        .posts
        .create(draft(fixture.susan, "x"))
        .await
        .unwrap();

    assert_eq!(watching.ids(1).await, [7]);
}

#[tokio::test]
async fn watchers_do_not_exceed_max_watchers() {
    let fixture = SystemFixture::with(|settings| {
        settings.watch.max_watchers = NonZeroUsize::new(2).unwrap();
    })
    .await;
    let first = fixture.posts.watch(after(0)).await.unwrap();
    let mut second = fixture.posts.watch(after(0)).await.unwrap();

    let status = fixture.posts.watch(after(0)).await.unwrap_err();
    drop(first);
    let mut third = watch_when_permitted(&fixture, after(0)).await;
    fixture
        .posts
        .create(draft(fixture.susan, "x"))
        .await
        .unwrap();

    assert_refused(&status, Code::Unavailable, "OVERLOADED");
    assert_eq!(second.ids(1).await, [1]);
    assert_eq!(third.ids(1).await, [1]);
}

#[tokio::test]
async fn a_watch_ends_when_the_service_drains() {
    let fixture = SystemFixture::start().await;
    fixture
        .posts
        .create(draft(fixture.susan, "x"))
        .await
        .unwrap();
    let mut live = fixture.posts.watch(after(0)).await.unwrap();
    let mut idle = fixture.posts.watch(new_posts()).await.unwrap();
    assert_eq!(live.ids(1).await, [1]);

    fixture.system.stop().await;

    for watching in [&mut live, &mut idle] {
        let status = watching.next().await.unwrap_err();
        assert_refused(&status, Code::Unavailable, "SHUTTING_DOWN");
    }
}

#[tokio::test]
async fn a_watch_ends_only_at_the_deadline_of_the_client() {
    let fixture = SystemFixture::with(|settings| {
        settings.server.call_timeout = CALL_TIMEOUT;
    })
    .await;
    let mut unlimited = fixture.posts.watch(new_posts()).await.unwrap();
    let mut request = Request::new(new_posts());
    request.set_timeout(CALL_TIMEOUT * 2);
    let mut limited = fixture.posts.watch(request).await.unwrap();

    let status = limited.next().await.unwrap_err();
    fixture
        .posts
        .create(draft(fixture.susan, "x"))
        .await
        .unwrap();

    assert_refused(&status, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    assert_eq!(unlimited.ids(1).await, [1]);
}
