//! `PurgePosts`.

use proto::post::v1::{PurgePostsRequest, PurgePostsResponse, purge_posts_request::Selection};

use super::{ids, system_fixture::SystemFixture};

fn purge(selection: Selection, force: bool) -> PurgePostsRequest {
    PurgePostsRequest {
        selection: Some(selection),
        force,
    }
}

#[tokio::test]
async fn a_preview_names_the_posts_and_deletes_none() {
    let fixture = SystemFixture::start().await;
    let hers = fixture.posts.create_all(fixture.susan, ["1", "2"]).await;
    let his = fixture.posts.create_all(fixture.john, ["3"]).await;
    let before = fixture.stored().await;

    for (selection, told) in [
        (Selection::All(true), [ids(&hers), ids(&his)].concat()),
        (Selection::AuthorId(fixture.susan), ids(&hers)),
        (Selection::AuthorId(fixture.john), ids(&his)),
        (Selection::AuthorId(99), vec![]),
    ] {
        let response = fixture.posts.purge(purge(selection, false)).await.unwrap();

        let expected = PurgePostsResponse {
            purge_count: i64::try_from(told.len()).unwrap(),
            purge_sample: told,
        };
        assert_eq!(response, expected);
    }
    assert_eq!(fixture.stored().await, before);
}

#[tokio::test]
async fn a_preview_names_the_100_lowest_ids() {
    let fixture = SystemFixture::start().await;
    let posts = fixture.posts.create_all(fixture.susan, ["x"; 101]).await;

    for selection in [Selection::All(true), Selection::AuthorId(fixture.susan)] {
        let response = fixture.posts.purge(purge(selection, false)).await.unwrap();

        assert_eq!(response.purge_count, 101);
        assert_eq!(response.purge_sample, ids(&posts[..100]));
    }
}

#[tokio::test]
async fn a_forced_purge_deletes_and_counts_the_selected_posts() {
    let fixture = SystemFixture::start().await;
    fixture.posts.create_all(fixture.susan, ["1", "2"]).await;
    fixture.posts.create_all(fixture.john, ["3"]).await;

    for (selection, purge_count, left) in [
        (Selection::AuthorId(99), 0, &["1", "2", "3"][..]),
        (Selection::AuthorId(fixture.susan), 2, &["3"]),
        (Selection::AuthorId(fixture.susan), 0, &["3"]),
        (Selection::All(true), 1, &[]),
        (Selection::All(true), 0, &[]),
    ] {
        let response = fixture.posts.purge(purge(selection, true)).await.unwrap();

        let expected = PurgePostsResponse {
            purge_count,
            purge_sample: vec![],
        };
        assert_eq!(response, expected);
        assert_eq!(fixture.stored_bodies().await, left);
    }
}
