//! Suspends the user service with SIGSTOP: its connections stay open, but it sends no responses.

use std::time::{Duration, Instant};

use proto::post::v1::{
    Author, GetPostRequest, ListPostsRequest, author::State, post_service_client::PostServiceClient,
};
use tonic::transport::Channel;

use crate::{
    create_post, create_user, post_service, posts_at,
    process::{TestDir, within_timeout},
    user_service, users_at,
};

/// Upper bound of a read of posts while the user service is frozen.
const BOUND: Duration = Duration::from_millis(250);

type Posts = PostServiceClient<Channel>;

async fn author_of_get(mut posts: Posts) -> Author {
    let request = GetPostRequest {
        id: 1,
        ..GetPostRequest::default()
    };
    let response = posts.get_post(request).await.unwrap();
    response.into_inner().post.unwrap().author.unwrap()
}

async fn author_of_list(mut posts: Posts) -> Author {
    let response = posts.list_posts(ListPostsRequest::default()).await;
    let mut posts = response.unwrap().into_inner().posts;
    posts.remove(0).author.unwrap()
}

/// Returns the author that `read` gets and the shortest duration of 5 attempts. The shortest leaves
/// out delays by other tests, while the service's own wait is in each attempt.
async fn timed<F: Future<Output = Author>>(
    read: impl Fn(Posts) -> F,
    posts: &Posts,
) -> (Author, Duration) {
    let mut shortest = Duration::MAX;
    let mut author = Author::default();
    for _ in 0..5 {
        let start = Instant::now();
        author = within_timeout(read(posts.clone())).await;
        shortest = shortest.min(start.elapsed());
    }
    (author, shortest)
}

/// Reads until the author has `state`.
async fn until(posts: &Posts, state: State) -> Author {
    within_timeout(async {
        loop {
            let author = author_of_get(posts.clone()).await;
            if author.state() == state {
                return author;
            }
        }
    })
    .await
}

#[tokio::test]
async fn posts_are_served_while_user_service_is_frozen() {
    let dir = TestDir::migrated().await;
    let mut users = user_service(&dir);
    let users_address = users.serving().await;
    let mut service = post_service(&dir, users_address, &[("AUTHOR_TTL", "1ms")]);
    let mut posts = posts_at(service.serving().await);
    let susan = create_user(&mut users_at(users_address), "susan").await;
    let author = susan.unwrap().id;
    create_post(&mut posts, author, "first").await.unwrap();
    until(&posts, State::Resolved).await;

    users.signal("STOP");
    let frozen = until(&posts, State::Unavailable).await;
    let (got, get_took) = timed(author_of_get, &posts).await;
    let (listed, list_took) = timed(author_of_list, &posts).await;
    users.signal("CONT");
    let thawed = until(&posts, State::Resolved).await;

    for author in [&frozen, &got, &listed] {
        assert_eq!(author.state(), State::Unavailable);
        assert_eq!(author.nickname, "susan");
    }
    assert!(get_took < BOUND, "GetPost took {get_took:?}");
    assert!(list_took < BOUND, "ListPosts took {list_took:?}");
    assert_eq!(thawed.nickname, "susan");
}
