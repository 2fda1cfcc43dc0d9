//! `WatchPosts`: what one who watches gets, and how it ends.

use std::{num::NonZeroUsize, time::Duration};

use proto::post::v1::{Post, PostView, PurgePostsRequest, WatchPostsRequest, author::State};
use tonic::{Code, Request};

use super::{
    assert_refused, author, basic, delete, draft, ids, rewrite,
    system_fixture::{PostStream, SystemFixture},
};
use crate::support::within_timeout;

/// How long calls may take that do not answer with a stream, in one of these tests.
const CALL_TIMEOUT: Duration = Duration::from_secs(1);

fn after(after_id: i64) -> WatchPostsRequest {
    WatchPostsRequest {
        after_id: Some(after_id),
        ..WatchPostsRequest::default()
    }
}

fn new_ones() -> WatchPostsRequest {
    WatchPostsRequest::default()
}

async fn with_one_place() -> SystemFixture {
    SystemFixture::with(|settings| settings.watch.max_watchers = NonZeroUsize::MIN).await
}

/// Watches as soon as there is a place.
async fn watch_when_free(fixture: &SystemFixture, request: WatchPostsRequest) -> PostStream {
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
async fn what_was_there_comes_first_and_then_what_is_new() {
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
async fn after_no_id_only_what_is_new_comes() {
    let fixture = SystemFixture::start().await;
    fixture.posts.create_all(fixture.susan, ["x"; 3]).await;

    let mut watching = fixture.posts.watch(new_ones()).await.unwrap();
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
async fn after_an_id_that_is_yet_to_come_only_higher_ones_come() {
    let fixture = SystemFixture::start().await;
    fixture.posts.create_all(fixture.susan, ["x"; 3]).await;

    let mut watching = fixture.posts.watch(after(5)).await.unwrap();
    let mut another = fixture.posts.watch(new_ones()).await.unwrap();
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
async fn one_author_can_be_watched() {
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
async fn the_full_view_has_the_author_which_the_basic_one_has_not() {
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
async fn many_are_sent_the_same_posts_each_in_the_view_it_asked_for() {
    let fixture = SystemFixture::start().await;
    let (susan, john) = (fixture.susan, fixture.john);
    let watch = |view: PostView, author_id| {
        let request = WatchPostsRequest {
            view: view.into(),
            author_id,
            ..new_ones()
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
async fn a_deleted_post_does_not_come_and_a_changed_one_comes_as_it_is() {
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
async fn after_the_newest_post_was_deleted_the_next_one_comes() {
    let fixture = SystemFixture::start().await;
    fixture.posts.create_all(fixture.susan, ["x"; 3]).await;
    let mut watching = fixture.posts.watch(new_ones()).await.unwrap();
    let purge = PurgePostsRequest {
        selection: Some(proto::post::v1::purge_posts_request::Selection::All(true)),
        force: true,
    };
    fixture.posts.purge(purge).await.unwrap();
    let mut later = fixture.posts.watch(new_ones()).await.unwrap();

    fixture
        .posts
        .create(draft(fixture.susan, "x"))
        .await
        .unwrap();

    assert_eq!(watching.ids(1).await, [4]);
    assert_eq!(later.ids(1).await, [4]);
}

#[tokio::test]
async fn who_begins_after_a_restore_gets_what_is_new_though_others_saw_higher_ids() {
    let fixture = SystemFixture::start().await;
    fixture.posts.create_all(fixture.susan, ["x"; 5]).await;
    let mut before = fixture.posts.watch(after(0)).await.unwrap();
    assert_eq!(before.ids(5).await, [1, 2, 3, 4, 5]);
    // By then the feed has looked, most likely: else this would find less, and not fail.
    tokio::time::sleep(Duration::from_millis(100)).await;
    // As after the restore of a backup that had one post.
    let database = fixture.system.database();
    database.execute("delete from posts where id > 1").await;
    database.restart_ids("posts", 1).await;
    let mut later = fixture.posts.watch(new_ones()).await.unwrap();

    // The first of them perhaps before anybody has looked, the next one after that.
    for id in [2, 3] {
        let created = fixture
            .posts
            .create(draft(fixture.susan, "x"))
            .await
            .unwrap();
        assert_eq!(created.id, id);
        assert_eq!(later.ids(1).await, [id]);
    }
    // Then there are more than before.
    fixture.posts.create_all(fixture.susan, ["x"; 3]).await;
    assert_eq!(later.ids(3).await, [4, 5, 6]);
}

#[tokio::test]
async fn one_who_lost_the_stream_goes_on_after_the_last_id_it_saw() {
    let fixture = with_one_place().await;
    fixture.posts.create_all(fixture.susan, ["x"; 3]).await;
    let mut watching = fixture.posts.watch(after(0)).await.unwrap();
    let mut seen = watching.ids(2).await;
    drop(watching);

    fixture.posts.create_all(fixture.susan, ["x"; 2]).await;
    let mut watching = watch_when_free(&fixture, after(2)).await;
    seen.extend(watching.ids(3).await);
    fixture.posts.create_all(fixture.susan, ["x"; 1]).await;
    seen.extend(watching.ids(1).await);

    assert_eq!(seen, [1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn after_a_time_in_which_nobody_watched_only_what_is_new_comes() {
    let fixture = with_one_place().await;
    let mut watching = fixture.posts.watch(new_ones()).await.unwrap();
    fixture
        .posts
        .create(draft(fixture.susan, "x"))
        .await
        .unwrap();
    assert_eq!(watching.ids(1).await, [1]);
    drop(watching);
    // Only when the first has left there is a place.
    drop(watch_when_free(&fixture, new_ones()).await);
    fixture.posts.create_all(fixture.susan, ["x"; 5]).await;

    let mut watching = watch_when_free(&fixture, new_ones()).await;
    fixture
        .posts
        .create(draft(fixture.susan, "x"))
        .await
        .unwrap();

    assert_eq!(watching.ids(1).await, [7]);
}

#[tokio::test]
async fn no_more_watch_than_the_settings_say() {
    let fixture = SystemFixture::with(|settings| {
        settings.watch.max_watchers = NonZeroUsize::new(2).unwrap();
    })
    .await;
    let first = fixture.posts.watch(after(0)).await.unwrap();
    let mut second = fixture.posts.watch(after(0)).await.unwrap();

    let status = fixture.posts.watch(after(0)).await.unwrap_err();
    drop(first);
    let mut third = watch_when_free(&fixture, after(0)).await;
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
async fn watching_ends_when_the_service_drains() {
    let fixture = SystemFixture::start().await;
    fixture
        .posts
        .create(draft(fixture.susan, "x"))
        .await
        .unwrap();
    let mut live = fixture.posts.watch(after(0)).await.unwrap();
    let mut idle = fixture.posts.watch(new_ones()).await.unwrap();
    assert_eq!(live.ids(1).await, [1]);

    fixture.system.stop().await;

    for watching in [&mut live, &mut idle] {
        let status = watching.next().await.unwrap_err();
        assert_refused(&status, Code::Unavailable, "SHUTTING_DOWN");
    }
}

#[tokio::test]
async fn watching_ends_at_the_deadline_of_the_client_and_at_no_other() {
    let fixture = SystemFixture::with(|settings| {
        settings.server.call_timeout = CALL_TIMEOUT;
    })
    .await;
    let mut unlimited = fixture.posts.watch(new_ones()).await.unwrap();
    let mut request = Request::new(new_ones());
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
