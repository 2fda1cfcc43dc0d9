//! `GetPost`, and the fields of each view.

use proto::post::v1::{GetPostRequest, ListPostsRequest, PostView, author::State};
use tonic::Code;

use super::{assert_refused, author, basic, draft, metadata, system_fixture::SystemFixture};

#[tokio::test]
async fn a_missing_post_is_not_found() {
    let fixture = SystemFixture::start().await;

    for id in [1, i64::MAX] {
        let status = fixture.posts.get(id).await.unwrap_err();

        assert_refused(&status, Code::NotFound, "POST_NOT_FOUND");
        assert_eq!(metadata(&status, "id"), Some(id.to_string()));
    }
}

#[tokio::test]
async fn the_default_view_is_full_and_includes_the_author() {
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
