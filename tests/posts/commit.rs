//! `CommitPosts`.

use proto::post::v1::{CommitPostsRequest, Post, post_mutation::Mutation};
use tonic::Code;

use super::{
    assert_refused, basic, bodies, commit, delete, draft, metadata, rewrite,
    system_fixture::SystemFixture,
};

#[tokio::test]
async fn mixed_mutations_are_executed_and_returned_in_order() {
    let fixture = SystemFixture::start().await;
    let posts = fixture.posts.create_all(fixture.susan, ["1", "2"]).await;

    let results = fixture
        .posts
        .commit(commit([
            Mutation::Delete(delete(posts[0].id)),
            Mutation::Create(draft(fixture.john, "3")),
            Mutation::Update(rewrite(posts[1].id, "new 2")),
        ]))
        .await
        .unwrap();

    let [None, Some(third), Some(second)] = results.as_slice() else {
        panic!("{results:?}");
    };
    // The results are in the basic view.
    for post in [third, second] {
        assert_eq!(post, &basic(&fixture.posts.get(post.id).await.unwrap()));
    }
    assert_eq!((third.body.as_str(), third.author_id), ("3", fixture.john));
    assert_eq!(second.body, "new 2");
    assert_eq!(fixture.stored_bodies().await, ["new 2", "3"]);
}

#[tokio::test]
async fn each_mutation_sees_the_mutations_before_it() {
    let fixture = SystemFixture::start().await;
    let first = fixture
        .posts
        .create(draft(fixture.susan, "1"))
        .await
        .unwrap();
    let next = first.id + 1;

    let results = fixture
        .posts
        .commit(commit([
            Mutation::Create(draft(fixture.susan, "2")),
            Mutation::Update(rewrite(next, "new 2")),
            Mutation::Update(rewrite(first.id, "new 1")),
            Mutation::Delete(delete(first.id)),
            Mutation::Create(draft(fixture.susan, "3")),
            Mutation::Delete(delete(next + 1)),
        ]))
        .await
        .unwrap();

    let states: Vec<_> = results
        .iter()
        .map(|post| post.as_ref().map(|post| post.body.as_str()))
        .collect();
    let expected = [
        Some("2"),
        Some("new 2"),
        Some("new 1"),
        None,
        Some("3"),
        None,
    ];
    assert_eq!(states, expected);
    assert_eq!(fixture.stored_bodies().await, ["new 2"]);
}

#[tokio::test]
async fn an_etag_is_compared_after_the_mutations_before_it() {
    let fixture = SystemFixture::start().await;
    let post = fixture
        .posts
        .create(draft(fixture.susan, "1"))
        .await
        .unwrap();
    let before = fixture.stored().await;
    let mut guarded = delete(post.id);
    guarded.etag = post.etag;

    let status = fixture
        .posts
        .commit(commit([
            Mutation::Update(rewrite(post.id, "2")),
            Mutation::Delete(guarded.clone()),
        ]))
        .await
        .unwrap_err();
    let guarded = commit([Mutation::Delete(guarded)]);

    assert_refused(&status, Code::Aborted, "ETAG_MISMATCH");
    assert_eq!(metadata(&status, "mutation_index"), Some("1".into()));
    assert_eq!(fixture.stored().await, before);
    assert!(fixture.posts.commit(guarded).await.is_ok());
}

#[tokio::test]
async fn a_failed_mutation_rolls_back_all_and_is_named_by_index() {
    let fixture = SystemFixture::start().await;
    let posts = fixture.posts.create_all(fixture.susan, ["1", "2"]).await;
    let before = fixture.stored().await;
    let mut guarded = rewrite(posts[1].id, "new");
    guarded.post.as_mut().unwrap().etag = "never given out".into();

    for (failing, code, reason) in [
        (
            Mutation::Create(draft(99, "x")),
            Code::FailedPrecondition,
            "AUTHOR_NOT_FOUND",
        ),
        (
            Mutation::Update(rewrite(99, "x")),
            Code::NotFound,
            "POST_NOT_FOUND",
        ),
        // An earlier mutation of the commit deletes it.
        (
            Mutation::Update(rewrite(posts[0].id, "x")),
            Code::NotFound,
            "POST_NOT_FOUND",
        ),
        (
            Mutation::Delete(delete(posts[0].id)),
            Code::NotFound,
            "POST_NOT_FOUND",
        ),
        (Mutation::Update(guarded), Code::Aborted, "ETAG_MISMATCH"),
    ] {
        let request = commit([
            Mutation::Delete(delete(posts[0].id)),
            Mutation::Create(draft(fixture.john, "3")),
            failing,
            // This mutation fails too. Only the first failure is reported.
            Mutation::Create(draft(100, "missing")),
        ]);
        let only_validated = CommitPostsRequest {
            validate_only: true,
            ..request.clone()
        };
        for request in [request, only_validated] {
            let status = fixture.posts.commit(request).await.unwrap_err();

            assert_refused(&status, code, reason);
            assert_eq!(metadata(&status, "mutation_index"), Some("2".into()));
            assert_eq!(fixture.stored().await, before);
        }
    }
}

#[tokio::test]
async fn a_missing_post_does_not_fail_a_commit_if_allowed() {
    let fixture = SystemFixture::start().await;
    let mut deletion = delete(7);
    deletion.allow_missing = true;

    let results = fixture
        .posts
        .commit(commit([
            Mutation::Delete(deletion),
            Mutation::Create(draft(fixture.susan, "1")),
        ]))
        .await
        .unwrap();

    let there: Vec<_> = results.iter().map(Option::is_some).collect();
    assert_eq!(there, [false, true]);
}

#[tokio::test]
async fn a_dry_run_returns_results_and_stores_nothing() {
    let fixture = SystemFixture::start().await;
    let posts = fixture.posts.create_all(fixture.susan, ["1", "2"]).await;
    let before = fixture.stored().await;

    let results = fixture
        .posts
        .commit(CommitPostsRequest {
            validate_only: true,
            ..commit([
                Mutation::Delete(delete(posts[0].id)),
                Mutation::Create(draft(fixture.john, "3")),
                Mutation::Update(rewrite(posts[1].id, "new 2")),
            ])
        })
        .await
        .unwrap();

    let [None, Some(third), Some(second)] = results.as_slice() else {
        panic!("{results:?}");
    };
    assert_eq!((third.id, third.body.as_str()), (0, "3"));
    assert_eq!((second.id, second.body.as_str()), (posts[1].id, "new 2"));
    assert_eq!(fixture.stored().await, before);
}

#[tokio::test]
async fn a_thousand_mutations_are_committed_together() {
    let fixture = SystemFixture::start().await;
    let numbers: Vec<_> = (0..1000).map(|n| n.to_string()).collect();

    let posts = fixture.posts.create_all(fixture.susan, &numbers).await;

    assert!(posts.is_sorted_by(|one, other| one.id < other.id));
    assert!(posts.iter().all(|post: &Post| post.author.is_none()));
    assert_eq!(bodies(&posts), numbers);
    assert_eq!(fixture.stored_bodies().await, numbers);
}
