//! The feed under load: every watcher gets each post once and in order, even if it is slow or
//! another process writes.

use std::{
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use futures::future::join_all;
use proto::post::v1::{
    ListPostsRequest, PostView, WatchPostsRequest, post_service_client::PostServiceClient,
};
use tokio::sync::watch;
use tonic::transport::Endpoint;

use super::{
    delete, draft,
    post_service_fixture::{FOREVER, Instance},
    rewrite,
    system_fixture::{Posts, SystemFixture},
};

/// The maximum delay of a post of another process.
const SOON: Duration = Duration::from_secs(1);

/// The number of tries. Other processes on the machine may delay some tries, but not all.
const TRIES: usize = 3;

const WRITERS: i64 = 4;
const POSTS_OF_EACH: i64 = 200;
const POSTS: i64 = WRITERS * POSTS_OF_EACH;

fn basic_view(after_id: Option<i64>) -> WatchPostsRequest {
    WatchPostsRequest {
        after_id,
        view: PostView::Basic.into(),
        ..WatchPostsRequest::default()
    }
}

/// Creates posts from several clients concurrently, and counts them in `written`.
async fn write(fixture: &SystemFixture, written: &watch::Sender<i64>) {
    let writers = (0..WRITERS).map(|number| async move {
        let author = if number % 2 == 0 {
            fixture.susan
        } else {
            fixture.john
        };
        for _ in 0..POSTS_OF_EACH {
            fixture.posts.create(draft(author, "x")).await.unwrap();
            written.send_modify(|written| *written += 1);
        }
    });
    join_all(writers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_post_is_missed_or_repeated_during_concurrent_writes() {
    let fixture = SystemFixture::start().await;
    let written = watch::Sender::new(0);

    let read = async {
        written
            .subscribe()
            .wait_for(|&written| written >= POSTS / 3)
            .await
            .unwrap();
        let mut from_the_start = fixture.posts.watch(basic_view(Some(0))).await.unwrap();
        let mut new_posts = fixture.posts.watch(basic_view(None)).await.unwrap();
        let first_new = new_posts.next().await.unwrap().id;
        let rest = usize::try_from(POSTS - first_new).unwrap();
        let all = from_the_start.ids(usize::try_from(POSTS).unwrap()).await;
        (all, first_new, new_posts.ids(rest).await)
    };
    let ((), (all, first_new, rest)) = tokio::join!(write(&fixture, &written), read);

    assert!(all.into_iter().eq(1..=POSTS));
    assert!(first_new > POSTS / 3);
    assert!(rest.into_iter().eq(first_new + 1..=POSTS));
}

#[tokio::test]
async fn a_post_written_right_after_the_subscription_is_not_missed() {
    let fixture = SystemFixture::with(|settings| {
        settings.database.max_read_connections = NonZeroUsize::MIN;
    })
    .await;
    fixture
        .posts
        .create_all(fixture.susan, vec!["x"; 1000])
        .await;
    // All reads are slow, since many readers share one connection.
    let readers: Vec<_> = (0..16)
        .map(|_| {
            let posts = fixture.posts.clone();
            let list = ListPostsRequest {
                page_size: 200,
                view: PostView::Basic.into(),
                ..ListPostsRequest::default()
            };
            tokio::spawn(async move { while posts.list(list.clone()).await.is_ok() {} })
        })
        .collect();

    for _ in 0..5 {
        let mut watching = fixture.posts.watch(basic_view(None)).await.unwrap();
        let created = fixture
            .posts
            .create(draft(fixture.susan, "x"))
            .await
            .unwrap();

        assert_eq!(watching.next().await.unwrap().id, created.id);
    }
    readers.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn posts_of_another_process_arrive_within_a_second() {
    let fixture = SystemFixture::start().await;
    let settings = post_service::Settings {
        user_service_url: format!("http://{}", fixture.system.users_address)
            .parse()
            .unwrap(),
        ..post_service::Settings::default()
    };
    let other = Instance::start(fixture.system.database().url(), settings).await;
    let mut watching = fixture.posts.watch(basic_view(None)).await.unwrap();

    let mut took = Vec::new();
    for _ in 0..TRIES {
        let created = other.posts.create(draft(fixture.susan, "x")).await.unwrap();
        let started = Instant::now();
        let come = watching.next().await.unwrap();
        took.push(started.elapsed());

        assert_eq!(come.id, created.id);
    }
    assert!(took.iter().min() < Some(&SOON), "{took:?}");
}

#[tokio::test]
async fn posts_of_this_process_arrive_without_polling() {
    // The feed never polls.
    let fixture =
        SystemFixture::with(|settings| settings.watch.watch_poll_interval = FOREVER).await;
    let mut watching = fixture.posts.watch(basic_view(None)).await.unwrap();

    for _ in 0..3 {
        let created = fixture
            .posts
            .create(draft(fixture.susan, "x"))
            .await
            .unwrap();
        assert_eq!(watching.next().await.unwrap().id, created.id);

        let created = fixture.posts.create_all(fixture.susan, ["x"; 300]).await;
        let come = watching.ids(300).await;
        assert!(come.into_iter().eq(created.iter().map(|post| post.id)));
    }
}

#[tokio::test]
async fn a_slow_watcher_gets_all_posts_in_order() {
    let fixture = SystemFixture::with(|settings| {
        settings.watch.watch_buffer_batches = NonZeroUsize::new(2).unwrap();
    })
    .await;
    // The flow-control window is so small that most posts wait in the buffer of the feed.
    let channel = Endpoint::from_shared(format!("http://{}", fixture.system.posts_address))
        .unwrap()
        .initial_stream_window_size(1024)
        .connect_lazy();
    let slow = Posts(PostServiceClient::new(channel));
    let mut watching = slow.watch(basic_view(None)).await.unwrap();
    let mut quick = fixture.posts.watch(basic_view(None)).await.unwrap();
    fixture
        .posts
        .create(draft(fixture.susan, "x"))
        .await
        .unwrap();
    assert_eq!(watching.ids(1).await, [1]);

    let long = "😀".repeat(140);
    for _ in 0..20 {
        fixture
            .posts
            .create_all(fixture.susan, vec![&long; 100])
            .await;
    }
    // After this read, the feed has published all posts.
    let all = quick.ids(2001).await;
    let come = watching.ids(2000).await;
    fixture
        .posts
        .create(draft(fixture.susan, "x"))
        .await
        .unwrap();

    assert!(all.into_iter().eq(1..=2001));
    assert!(come.into_iter().eq(2..=2001));
    assert_eq!(watching.ids(1).await, [2002]);
}

#[tokio::test]
async fn a_slow_watcher_gets_posts_in_their_current_state() {
    let fixture = SystemFixture::with(|settings| {
        settings.watch.watch_poll_interval = Duration::from_millis(1);
    })
    .await;
    let channel = Endpoint::from_shared(format!("http://{}", fixture.system.posts_address))
        .unwrap()
        .initial_stream_window_size(1024)
        .connect_lazy();
    let slow = Posts(PostServiceClient::new(channel));
    let mut watching = slow.watch(basic_view(None)).await.unwrap();
    let mut quick = fixture.posts.watch(basic_view(None)).await.unwrap();
    // These posts fill the flow-control window one by one, so that the next ones wait.
    let long = "😀".repeat(140);
    for id in 1..=20 {
        fixture
            .posts
            .create(draft(fixture.susan, &long))
            .await
            .unwrap();
        assert_eq!(quick.ids(1).await, [id]);
    }

    fixture.posts.update(rewrite(20, "after")).await.unwrap();
    fixture.posts.delete(delete(19)).await.unwrap();
    let come = watching.ids(18).await;
    let last = watching.next().await.unwrap();

    assert!(come.into_iter().eq(1..=18));
    assert_eq!((last.id, last.body.as_str()), (20, "after"));
}

#[tokio::test]
async fn hundreds_of_watchers_get_all_posts() {
    let fixture = SystemFixture::start().await;
    let channel = || {
        let address = format!("http://{}", fixture.system.posts_address);
        Endpoint::from_shared(address).unwrap().connect_lazy()
    };
    let mut watching = Vec::new();
    // The limit of concurrent streams of a connection.
    for _ in 0..4 {
        let posts = Posts(PostServiceClient::new(channel()));
        for _ in 0..50 {
            watching.push(posts.watch(basic_view(Some(0))).await.unwrap());
        }
    }

    fixture.posts.create_all(fixture.susan, ["x"; 20]).await;

    for watching in &mut watching {
        assert!(watching.ids(20).await.into_iter().eq(1..=20));
    }
}
