//! Invalid requests: each field that can be invalid, in every request that has it.
//!
//! Each test also asserts that nothing was stored.

use proto::post::v1::{
    CommitPostsRequest, CreatePostRequest, GetPostRequest, ListPostsRequest, Post, PostMutation,
    PurgePostsRequest, UpdatePostRequest, WatchPostsRequest, post_mutation::Mutation,
    purge_posts_request::Selection,
};
use tonic::Status;

use super::{
    assert_invalid, assert_violation, bodies, commit, delete, draft, masked, metadata, rewrite,
    system_fixture::SystemFixture,
};

async fn purge(fixture: &SystemFixture, selection: Option<Selection>) -> Status {
    let request = PurgePostsRequest {
        selection,
        force: true,
    };
    fixture.posts.purge(request).await.unwrap_err()
}

async fn watch(fixture: &SystemFixture, request: WatchPostsRequest) -> Status {
    fixture.posts.watch(request).await.unwrap_err()
}

async fn list(fixture: &SystemFixture, request: ListPostsRequest) -> Status {
    fixture.posts.list(request).await.unwrap_err()
}

async fn commit_one(fixture: &SystemFixture, mutation: Mutation) -> Status {
    fixture.posts.commit(commit([mutation])).await.unwrap_err()
}

#[tokio::test]
async fn an_invalid_body_is_rejected_in_every_request() {
    let (fixture, post, stored) = SystemFixture::with_post().await;

    for body in [
        "",
        &"a".repeat(141),
        &"😀".repeat(141),
        &"e\u{301}".repeat(141),
        &"a".repeat(100_000),
        "\u{0}",
        "a\u{0}b",
        "a\r\nb",
        "\u{1b}[31m",
        "\u{7f}",
        "\u{85}",
    ] {
        let wrong = draft(fixture.susan, body);
        let change = rewrite(post.id, body);

        let status = fixture.posts.create(wrong.clone()).await.unwrap_err();
        assert_invalid(&status, &["post.body"]);
        for change in [change.clone(), masked(change.clone(), &["*"])] {
            let status = fixture.posts.update(change).await.unwrap_err();
            assert_invalid(&status, &["post.body"]);
        }
        let status = commit_one(&fixture, Mutation::Create(wrong)).await;
        assert_invalid(&status, &["mutations[0].create.body"]);
        let status = commit_one(&fixture, Mutation::Update(change)).await;
        assert_invalid(&status, &["mutations[0].update.post.body"]);
    }
    assert_eq!(fixture.stored().await, stored);
}

#[tokio::test]
async fn an_invalid_post_id_is_rejected_in_every_request() {
    let (fixture, _, stored) = SystemFixture::with_post().await;

    for id in [0, -1, i64::MIN] {
        let mut deletion = delete(id);
        deletion.allow_missing = true;

        let status = fixture.posts.get(id).await.unwrap_err();
        assert_invalid(&status, &["id"]);
        let status = fixture.posts.update(rewrite(id, "new")).await.unwrap_err();
        assert_invalid(&status, &["post.id"]);
        let status = fixture.posts.delete(deletion.clone()).await.unwrap_err();
        assert_invalid(&status, &["id"]);
        let status = commit_one(&fixture, Mutation::Update(rewrite(id, "new"))).await;
        assert_invalid(&status, &["mutations[0].update.post.id"]);
        let status = commit_one(&fixture, Mutation::Delete(deletion)).await;
        assert_invalid(&status, &["mutations[0].delete.id"]);
    }
    assert_eq!(fixture.stored().await, stored);
}

#[tokio::test]
async fn an_invalid_author_id_is_rejected_in_every_request() {
    let (fixture, _, stored) = SystemFixture::with_post().await;

    for id in [0, -1, i64::MIN] {
        let author_id = Some(id);

        let status = fixture.posts.create(draft(id, "x")).await.unwrap_err();
        assert_invalid(&status, &["post.author_id"]);
        let status = commit_one(&fixture, Mutation::Create(draft(id, "x"))).await;
        assert_invalid(&status, &["mutations[0].create.author_id"]);
        let listed = ListPostsRequest {
            author_id,
            ..ListPostsRequest::default()
        };
        assert_invalid(&list(&fixture, listed).await, &["author_id"]);
        let watched = WatchPostsRequest {
            author_id,
            ..WatchPostsRequest::default()
        };
        assert_invalid(&watch(&fixture, watched).await, &["author_id"]);
        let status = purge(&fixture, Some(Selection::AuthorId(id))).await;
        assert_invalid(&status, &["author_id"]);
    }
    assert_eq!(fixture.stored().await, stored);
}

#[tokio::test]
async fn a_negative_after_id_is_rejected() {
    let (fixture, _, _) = SystemFixture::with_post().await;

    for after_id in [-1, i64::MIN] {
        let request = WatchPostsRequest {
            after_id: Some(after_id),
            ..WatchPostsRequest::default()
        };

        let status = watch(&fixture, request).await;

        assert_invalid(&status, &["after_id"]);
    }
}

#[tokio::test]
async fn an_invalid_view_is_rejected_in_every_request() {
    let (fixture, post, _) = SystemFixture::with_post().await;

    for view in [3, -1, i32::MAX, i32::MIN] {
        let got = GetPostRequest { id: post.id, view };
        let status = fixture.posts.get_by(got).await.unwrap_err();
        assert_invalid(&status, &["view"]);
        let listed = ListPostsRequest {
            view,
            ..ListPostsRequest::default()
        };
        assert_invalid(&list(&fixture, listed).await, &["view"]);
        let watched = WatchPostsRequest {
            view,
            ..WatchPostsRequest::default()
        };
        assert_invalid(&watch(&fixture, watched).await, &["view"]);
    }
}

#[tokio::test]
async fn a_missing_required_field_is_rejected() {
    let (fixture, _, stored) = SystemFixture::with_post().await;

    let status = fixture.posts.create_by(CreatePostRequest::default()).await;
    assert_invalid(&status.unwrap_err(), &["post"]);
    let status = fixture.posts.create(Post::default()).await.unwrap_err();
    assert_invalid(&status, &["post.body", "post.author_id"]);
    let status = fixture.posts.update(UpdatePostRequest::default()).await;
    assert_invalid(&status.unwrap_err(), &["post"]);
    let status = purge(&fixture, None).await;
    assert_invalid(&status, &["selection"]);
    let status = purge(&fixture, Some(Selection::All(false))).await;
    assert_invalid(&status, &["all"]);
    let status = commit_one(&fixture, Mutation::Update(UpdatePostRequest::default())).await;
    assert_invalid(&status, &["mutations[0].update.post"]);
    let mut one_unset = commit([Mutation::Create(draft(fixture.susan, "2"))]);
    one_unset.mutations.push(PostMutation::default());
    let status = fixture.posts.commit(one_unset).await.unwrap_err();
    assert_invalid(&status, &["mutations[1].mutation"]);

    assert_eq!(fixture.stored().await, stored);
}

#[tokio::test]
async fn a_negative_page_size_is_rejected() {
    let (fixture, _, _) = SystemFixture::with_post().await;

    for page_size in [-1, i32::MIN] {
        let request = ListPostsRequest {
            page_size,
            ..ListPostsRequest::default()
        };

        let status = list(&fixture, request).await;

        assert_invalid(&status, &["page_size"]);
    }
}

#[tokio::test]
async fn an_invalid_order_is_rejected() {
    let (fixture, _, stored) = SystemFixture::with_post().await;

    for order_by in [
        "body",
        "author_id",
        "update_time",
        "user_id",
        "Id",
        "1",
        "id asc",
        "id DESC",
        "id desc desc",
        "id,",
        "id, create_time",
        "create_time desc, id",
        ",",
        "desc",
        "id; drop table posts",
        "id desc; drop table posts",
        "(select body from posts)",
        "id --",
        "\u{0}",
    ] {
        let request = ListPostsRequest {
            order_by: order_by.into(),
            ..ListPostsRequest::default()
        };

        let status = list(&fixture, request).await;

        assert_violation(&status, "INVALID_ORDER_BY", "order_by");
    }
    assert_eq!(fixture.stored().await, stored);
    let listed = fixture
        .posts
        .list(ListPostsRequest::default())
        .await
        .unwrap();
    assert_eq!(bodies(&listed.posts), ["1"]);
}

#[tokio::test]
async fn a_mask_with_a_field_that_is_not_updatable_is_rejected() {
    let (fixture, post, stored) = SystemFixture::with_post().await;
    let change = rewrite(post.id, "new");

    for path in [
        "author_id",
        "id",
        "create_time",
        "etag",
        "author.nickname",
        "post.body",
        "Body",
        "",
        "bo*",
    ] {
        for paths in [&[path][..], &["body", path], &["*", path]] {
            let status = fixture.posts.update(masked(change.clone(), paths)).await;
            assert_violation(&status.unwrap_err(), "UNKNOWN_MASK_PATH", "update_mask");
        }
        let status = commit_one(&fixture, Mutation::Update(masked(change.clone(), &[path]))).await;
        let field = "mutations[0].update.update_mask";
        assert_violation(&status, "UNKNOWN_MASK_PATH", field);
        assert_eq!(metadata(&status, "mutation_index"), Some("0".into()));
    }
    assert_eq!(fixture.stored().await, stored);
}

#[tokio::test]
async fn a_repeated_invalid_mask_path_is_reported_once() {
    let (fixture, post, stored) = SystemFixture::with_post().await;
    let change = masked(rewrite(post.id, "new"), &["id", "body", "id"]);

    let status = fixture.posts.update(change).await.unwrap_err();

    assert_violation(&status, "UNKNOWN_MASK_PATH", "update_mask");
    assert_eq!(fixture.stored().await, stored);
}

#[tokio::test]
async fn a_request_id_must_be_a_uuid() {
    let (fixture, _, stored) = SystemFixture::with_post().await;

    for request_id in [
        "1",
        "susan",
        " ",
        "3f1c9a52-7d0e-4c4b-9b1e-2f6a8d5c7e1",
        "3f1c9a52-7d0e-4c4b-9b1e-2f6a8d5c7e1g",
        "3f1c9a52-7d0e-4c4b-9b1e-2f6a8d5c7e10 ",
        "00000000-0000-0000-0000-000000000000",
    ] {
        let request = CreatePostRequest {
            post: Some(draft(fixture.susan, "x")),
            request_id: request_id.into(),
            validate_only: false,
        };
        let status = fixture.posts.create_by(request).await.unwrap_err();
        assert_invalid(&status, &["request_id"]);

        let request = CommitPostsRequest {
            request_id: request_id.into(),
            ..commit([Mutation::Create(draft(fixture.susan, "x"))])
        };
        let status = fixture.posts.commit(request).await.unwrap_err();
        assert_invalid(&status, &["request_id"]);
    }
    assert_eq!(fixture.stored().await, stored);
}
