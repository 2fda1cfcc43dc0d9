//! Requests with several violations: the error reports all of them, and nothing is stored.

use proto::post::v1::{
    CommitPostsRequest, CreatePostRequest, GetPostRequest, ListPostsRequest, UpdatePostRequest,
    WatchPostsRequest, post_mutation::Mutation,
};

use super::{
    assert_invalid, commit, delete, draft, masked, metadata, rewrite, system_fixture::SystemFixture,
};

#[tokio::test]
async fn a_commit_has_1_to_1000_mutations() {
    let (fixture, _, stored) = SystemFixture::with_post().await;
    let creation = Mutation::Create(draft(fixture.susan, "x"));

    for count in [0, 1001] {
        let request = commit(std::iter::repeat_n(creation.clone(), count));

        let status = fixture.posts.commit(request).await.unwrap_err();

        assert_invalid(&status, &["mutations"]);
        // The violation is not in one of the mutations.
        assert_eq!(metadata(&status, "mutation_index"), None);
    }
    assert_eq!(fixture.stored().await, stored);
}

#[tokio::test]
async fn validate_only_is_rejected_in_a_single_mutation() {
    let (fixture, post, stored) = SystemFixture::with_post().await;
    let change = UpdatePostRequest {
        validate_only: true,
        ..rewrite(post.id, "new")
    };

    let status = fixture
        .posts
        .commit(commit([Mutation::Update(change)]))
        .await;
    let status = status.unwrap_err();

    assert_invalid(&status, &["mutations[0].update.validate_only"]);
    assert_eq!(fixture.stored().await, stored);
}

#[tokio::test]
async fn all_violations_of_a_request_are_reported() {
    let (fixture, _, stored) = SystemFixture::with_post().await;

    let create = CreatePostRequest {
        post: Some(draft(-1, "")),
        request_id: "1".into(),
        validate_only: true,
    };
    let status = fixture.posts.create_by(create).await.unwrap_err();
    assert_invalid(&status, &["post.body", "post.author_id", "request_id"]);

    let got = GetPostRequest { id: 0, view: 7 };
    let status = fixture.posts.get_by(got).await.unwrap_err();
    assert_invalid(&status, &["id", "view"]);

    let listed = ListPostsRequest {
        page_size: -1,
        page_token: "1".into(),
        order_by: "body".into(),
        author_id: Some(0),
        view: 7,
        return_total_size: true,
    };
    let fields = ["page_size", "order_by", "author_id", "view"];
    let status = fixture.posts.list(listed).await.unwrap_err();
    assert_invalid(&status, &fields);

    let change = masked(rewrite(0, ""), &["body", "id"]);
    let status = fixture.posts.update(change).await.unwrap_err();
    assert_invalid(&status, &["update_mask", "post.id", "post.body"]);

    let watched = WatchPostsRequest {
        author_id: Some(0),
        after_id: Some(-1),
        view: 7,
    };
    let fields = ["author_id", "after_id", "view"];
    let status = fixture.posts.watch(watched).await.unwrap_err();
    assert_invalid(&status, &fields);

    assert_eq!(fixture.stored().await, stored);
}

#[tokio::test]
async fn all_violations_of_a_commit_and_the_first_index_are_reported() {
    let (fixture, post, stored) = SystemFixture::with_post().await;
    let request = CommitPostsRequest {
        request_id: "1".into(),
        ..commit([
            Mutation::Create(draft(fixture.susan, "2")),
            Mutation::Delete(delete(post.id)),
            Mutation::Create(draft(fixture.susan, "3")),
            Mutation::Create(draft(0, "")),
            Mutation::Update(masked(rewrite(-1, "new"), &["id"])),
            Mutation::Delete(delete(0)),
        ])
    };

    let status = fixture.posts.commit(request).await.unwrap_err();

    let fields = [
        "request_id",
        "mutations[3].create.body",
        "mutations[3].create.author_id",
        "mutations[4].update.update_mask",
        "mutations[4].update.post.id",
        "mutations[5].delete.id",
    ];
    assert_invalid(&status, &fields);
    assert_eq!(metadata(&status, "mutation_index"), Some("3".into()));
    assert_eq!(fixture.stored().await, stored);
}
