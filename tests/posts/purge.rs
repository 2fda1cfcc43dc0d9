//! `PurgePosts`.

use proto::post::v1::{PurgePostsRequest, PurgePostsResponse, purge_posts_request::Selection};

use super::{blog::Blog, ids};

fn purge(selection: Selection, force: bool) -> PurgePostsRequest {
    PurgePostsRequest {
        selection: Some(selection),
        force,
    }
}

#[tokio::test]
async fn without_force_nothing_is_deleted_and_what_would_be_is_told() {
    let blog = Blog::start().await;
    let hers = blog.posts.create_all(blog.susan, ["1", "2"]).await;
    let his = blog.posts.create_all(blog.john, ["3"]).await;
    let before = blog.stored().await;

    for (selection, told) in [
        (Selection::All(true), [ids(&hers), ids(&his)].concat()),
        (Selection::AuthorId(blog.susan), ids(&hers)),
        (Selection::AuthorId(blog.john), ids(&his)),
        (Selection::AuthorId(99), vec![]),
    ] {
        let response = blog.posts.purge(purge(selection, false)).await.unwrap();

        let expected = PurgePostsResponse {
            purge_count: i64::try_from(told.len()).unwrap(),
            purge_sample: told,
        };
        assert_eq!(response, expected);
    }
    assert_eq!(blog.stored().await, before);
}

#[tokio::test]
async fn at_most_the_lowest_100_ids_are_told() {
    let blog = Blog::start().await;
    let posts = blog.posts.create_all(blog.susan, ["x"; 101]).await;

    for selection in [Selection::All(true), Selection::AuthorId(blog.susan)] {
        let response = blog.posts.purge(purge(selection, false)).await.unwrap();

        assert_eq!(response.purge_count, 101);
        assert_eq!(response.purge_sample, ids(&posts[..100]));
    }
}

#[tokio::test]
async fn with_force_the_selected_posts_are_deleted_and_counted() {
    let blog = Blog::start().await;
    blog.posts.create_all(blog.susan, ["1", "2"]).await;
    blog.posts.create_all(blog.john, ["3"]).await;

    for (selection, purge_count, left) in [
        (Selection::AuthorId(99), 0, &["1", "2", "3"][..]),
        (Selection::AuthorId(blog.susan), 2, &["3"]),
        (Selection::AuthorId(blog.susan), 0, &["3"]),
        (Selection::All(true), 1, &[]),
        (Selection::All(true), 0, &[]),
    ] {
        let response = blog.posts.purge(purge(selection, true)).await.unwrap();

        let expected = PurgePostsResponse {
            purge_count,
            purge_sample: vec![],
        };
        assert_eq!(response, expected);
        assert_eq!(blog.stored_bodies().await, left);
    }
}
