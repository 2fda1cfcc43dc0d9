//! `GetPost`, and how much of a post each view shows.

use proto::post::v1::{GetPostRequest, ListPostsRequest, PostView, author::State};
use tonic::Code;

use super::{assert_refused, author, basic, draft, metadata, system_fixture::SystemFixture};

#[tokio::test]
async fn a_post_that_is_not_there_is_not_found() {
    let fixture = SystemFixture::start().await;

    for id in [1, i64::MAX] {
        let status = fixture.posts.get(id).await.unwrap_err();

        assert_refused(&status, Code::NotFound, "POST_NOT_FOUND");
        assert_eq!(metadata(&status, "id"), Some(id.to_string()));
    }
}

#[tokio::test]
async fn the_full_view_is_the_default_and_has_the_author_which_the_basic_one_has_not() {
    let fixture = SystemFixture::start().await;
    let created = fixture
        .posts
        .create(draft(fixture.susan, "x"))
        .await
        .unwrap();
    let id = created.id;

    for (view, shown) in [
        (
            PostView::Unspecified,
            Some(author(State::Resolved, "susan")),
        ),
        (PostView::Full, Some(author(State::Resolved, "susan"))),
        (PostView::Basic, None),
    ] {
        let view = view.into();
        let got = fixture.posts.get_by(GetPostRequest { id, view }).await;
        let listed = fixture
            .posts
            .list(ListPostsRequest {
                view,
                ..ListPostsRequest::default()
            })
            .await;

        let got = got.unwrap();
        assert_eq!(basic(&got), basic(&created));
        assert_eq!(got.author, shown);
        assert_eq!(listed.unwrap().posts, [got]);
    }
}
