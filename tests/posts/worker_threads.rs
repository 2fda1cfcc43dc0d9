//! A service with several worker threads behaves like one with a single thread.

use std::num::NonZeroUsize;

use futures::future::join_all;
use proto::post::v1::{
    CreatePostRequest, ListPostsRequest, WatchPostsRequest, post_service_client::PostServiceClient,
};
use tonic::Code;

use super::{assert_refused, bodies, draft, system_fixture::SystemFixture};
use crate::support::{connect, within_timeout};

/// The number of posts that each connection creates.
const POSTS: usize = 20;

#[tokio::test]
async fn connections_on_all_runtimes_share_writes_and_are_drained() {
    let fixture = SystemFixture::with(|settings| {
        settings.server.worker_threads = NonZeroUsize::new(3).unwrap();
    })
    .await;
    let connections: Vec<_> = (0..6)
        .map(|_| PostServiceClient::new(connect(fixture.system.posts_address)))
        .collect();
    let mut watching = Vec::new();
    for mut connection in connections.clone() {
        let watch = connection.watch_posts(WatchPostsRequest::default()).await;
        watching.push(watch.unwrap().into_inner());
    }

    let susan = fixture.susan;
    let written = join_all(connections.into_iter().map(async |mut connection| {
        for n in 0..POSTS {
            let request = CreatePostRequest {
                post: Some(draft(susan, &n.to_string())),
                ..CreatePostRequest::default()
            };
            let created = connection.create_post(request).await.unwrap().into_inner();
            let list = ListPostsRequest {
                page_size: 100,
                ..ListPostsRequest::default()
            };
            let listed = connection.list_posts(list).await.unwrap().into_inner();

            let post = created.post.unwrap();
            assert!(listed.posts.contains(&post), "{post:?}");
        }
    }));
    within_timeout(written).await;

    let stored = fixture.stored_bodies().await;
    assert_eq!(stored.len(), 6 * POSTS);
    for watch in &mut watching {
        let mut seen = Vec::new();
        while seen.len() < stored.len() {
            let next = within_timeout(watch.message()).await.unwrap().unwrap();
            seen.push(next.post.unwrap());
        }
        assert_eq!(bodies(&seen), stored);
    }
    fixture.system.stop().await;
    for mut watch in watching {
        let ended = within_timeout(watch.message()).await.unwrap_err();
        assert_refused(&ended, Code::Unavailable, "SHUTTING_DOWN");
    }
}
