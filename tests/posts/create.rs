//! `CreatePost`.

use futures::{future::join_all, join};
use proto::{
    post::v1::{Author, CreatePostRequest, Post, author::State, post_mutation::Mutation},
    user::v1::DeleteUserRequest,
};
use tonic::Code;

use super::{
    assert_invalid, assert_refused, author, basic, bodies, commit, delete, draft, metadata,
    system_fixture::SystemFixture,
};

fn only_validate(post: Post) -> CreatePostRequest {
    CreatePostRequest {
        post: Some(post),
        validate_only: true,
        ..CreatePostRequest::default()
    }
}

#[tokio::test]
async fn a_created_post_is_returned_as_stored_with_its_author() {
    let fixture = SystemFixture::start().await;

    let created = fixture
        .posts
        .create(draft(fixture.susan, "my first post!"))
        .await
        .unwrap();

    assert!(created.id > 0);
    assert_eq!(created.body, "my first post!");
    assert_eq!(created.author_id, fixture.susan);
    assert_eq!(created.author, Some(author(State::Resolved, "susan")));
    assert!(created.create_time.is_some());
    assert_eq!(created.update_time, created.create_time);
    assert_ne!(created.etag, "");
    assert_eq!(fixture.posts.get(created.id).await.unwrap(), created);
}

#[tokio::test]
async fn output_only_fields_are_ignored() {
    let fixture = SystemFixture::start().await;
    let time = prost_types::Timestamp {
        seconds: 1,
        nanos: 1,
    };

    let created = fixture
        .posts
        .create(Post {
            id: -7,
            create_time: Some(time),
            update_time: Some(time),
            etag: "mine".into(),
            author: Some(Author {
                state: 99,
                nickname: "ignored".into(),
            }),
            ..draft(fixture.susan, "first")
        })
        .await
        .unwrap();

    assert!(created.id > 0);
    assert_ne!(created.create_time, Some(time));
    assert_ne!(created.update_time, Some(time));
    assert_ne!(created.etag, "mine");
    assert_eq!(created.author, Some(author(State::Resolved, "susan")));
}

#[tokio::test]
async fn a_body_of_up_to_140_code_points_is_stored_unchanged() {
    let fixture = SystemFixture::start().await;

    for body in [
        "x",
        " ",
        " two\n\tlines ",
        "' or 1 = 1; drop table posts --",
        "\u{202e}\u{feff}\u{10ffff}",
        &"a".repeat(140),
        // Each code point has four bytes.
        &"😀".repeat(140),
    ] {
        let created = fixture
            .posts
            .create(draft(fixture.susan, body))
            .await
            .unwrap();

        assert_eq!(created.body, body);
        let stored = fixture.posts.get(created.id).await.unwrap();
        assert_eq!(stored.body, body);
    }
}

#[tokio::test]
async fn a_body_is_counted_and_stored_in_normalization_form_c() {
    let fixture = SystemFixture::start().await;

    let created = fixture
        .posts
        .create(draft(fixture.susan, &"e\u{301}".repeat(140)))
        .await
        .unwrap();
    // This code point is decomposed into two in Normalization Form C.
    let status = fixture
        .posts
        .create(draft(fixture.susan, &"\u{958}".repeat(71)))
        .await
        .unwrap_err();

    assert_eq!(created.body, "\u{e9}".repeat(140));
    assert_invalid(&status, &["post.body"]);
    assert_eq!(fixture.stored_bodies().await, ["\u{e9}".repeat(140)]);
}

#[tokio::test]
async fn a_post_of_a_missing_author_is_rejected() {
    let fixture = SystemFixture::start().await;

    for request in [draft(99, "first"), draft(i64::MAX, "first")] {
        let missing = request.author_id;
        let validated = only_validate(request.clone());
        for status in [
            fixture.posts.create(request).await.unwrap_err(),
            fixture.posts.create_by(validated).await.unwrap_err(),
        ] {
            assert_refused(&status, Code::FailedPrecondition, "AUTHOR_NOT_FOUND");
            assert_eq!(metadata(&status, "author_id"), Some(missing.to_string()));
        }
    }
    assert_eq!(fixture.stored().await, [""; 0]);
}

#[tokio::test]
async fn two_posts_can_have_the_same_body() {
    let fixture = SystemFixture::start().await;

    let first = fixture
        .posts
        .create(draft(fixture.susan, "x"))
        .await
        .unwrap();
    let second = fixture
        .posts
        .create(draft(fixture.susan, "x"))
        .await
        .unwrap();

    assert!(second.id > first.id);
    assert_eq!(fixture.stored_bodies().await, ["x", "x"]);
}

#[tokio::test]
async fn an_id_is_never_reused() {
    let fixture = SystemFixture::start().await;
    let first = fixture
        .posts
        .create(draft(fixture.susan, "x"))
        .await
        .unwrap();
    fixture.posts.delete(delete(first.id)).await.unwrap();

    let second = fixture
        .posts
        .create(draft(fixture.susan, "x"))
        .await
        .unwrap();

    assert!(second.id > first.id);
}

#[tokio::test]
async fn a_dry_run_returns_the_post_without_an_id_and_stores_none() {
    let fixture = SystemFixture::start().await;

    let tried = fixture
        .posts
        .create_by(only_validate(draft(fixture.susan, "e\u{301}")))
        .await
        .unwrap();
    let created = fixture
        .posts
        .create(draft(fixture.susan, "next"))
        .await
        .unwrap();

    assert_eq!((tried.id, tried.body.as_str()), (0, "\u{e9}"));
    assert_eq!(tried.author, Some(author(State::Resolved, "susan")));
    assert!(tried.create_time.is_some());
    assert_eq!(fixture.stored_bodies().await, ["next"]);
    // The dry run used up no id.
    assert_eq!(created.id, 1);
}

#[tokio::test]
async fn a_dry_run_is_rejected_with_the_status_of_the_call() {
    let fixture = SystemFixture::start().await;

    for post in [
        None,
        Some(draft(fixture.susan, "")),
        Some(draft(0, "x")),
        Some(draft(99, "x")),
    ] {
        let real = CreatePostRequest {
            post: post.clone(),
            ..CreatePostRequest::default()
        };
        let validated = CreatePostRequest {
            validate_only: true,
            ..real.clone()
        };

        let real = fixture.posts.create_by(real).await.unwrap_err();
        let validated = fixture.posts.create_by(validated).await.unwrap_err();

        assert_eq!(
            (real.code(), real.message(), real.details()),
            (validated.code(), validated.message(), validated.details())
        );
    }
    assert_eq!(fixture.stored().await, [""; 0]);
}

#[tokio::test]
async fn concurrent_creations_get_distinct_ids() {
    let fixture = SystemFixture::start().await;

    let created = join_all((0..64).map(|n| {
        let author = if n % 2 == 0 {
            fixture.susan
        } else {
            fixture.john
        };
        // A single statement inserts all bodies as JSON. They must be escaped.
        let body = format!("{n} \"']}}\\u0000\n\t\u{2028}\u{1F600}\u{FFFF} \\\" \u{e9}");
        fixture.posts.create(draft(author, &body))
    }))
    .await;

    let mut created: Vec<_> = created.into_iter().map(Result::unwrap).collect();
    created.sort_by_key(|post| post.id);
    created.dedup_by_key(|post| post.id);
    assert_eq!(created.len(), 64);
    assert_eq!(fixture.stored_bodies().await, bodies(&created));
    for post in created {
        let got = fixture.posts.get(post.id).await.unwrap();
        assert_eq!(basic(&got), basic(&post));
    }
}

/// Starts a system whose user john is deleted but still in the author cache.
pub async fn with_deleted_author() -> SystemFixture {
    let fixture = SystemFixture::start().await;
    let post = fixture
        .posts
        .create(draft(fixture.john, "1"))
        .await
        .unwrap();
    fixture.posts.delete(delete(post.id)).await.unwrap();
    let deletion = DeleteUserRequest {
        id: fixture.john,
        ..DeleteUserRequest::default()
    };
    fixture.system.users().delete_user(deletion).await.unwrap();
    fixture
}

#[tokio::test]
async fn only_concurrent_posts_of_a_deleted_author_are_rejected() {
    let fixture = with_deleted_author().await;

    let results = join_all((0..64).map(|n| {
        let author = if n % 8 == 5 {
            fixture.john
        } else {
            fixture.susan
        };
        fixture.posts.create(draft(author, &n.to_string()))
    }))
    .await;

    let (created, rejected): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!((created.len(), rejected.len()), (56, 8));
    for status in rejected {
        assert_refused(
            &status.unwrap_err(),
            Code::FailedPrecondition,
            "AUTHOR_NOT_FOUND",
        );
    }
    let mut created: Vec<_> = created.into_iter().map(Result::unwrap).collect();
    created.sort_by_key(|post| post.id);
    assert_eq!(fixture.stored_bodies().await, bodies(&created));
}

#[tokio::test]
async fn only_concurrent_commits_of_a_deleted_author_are_rejected() {
    let fixture = with_deleted_author().await;
    let (susan, john) = (fixture.susan, fixture.john);
    let three = |n: i32, authors: [i64; 3]| {
        let creation = |author| Mutation::Create(draft(author, &n.to_string()));
        fixture.posts.commit(commit(authors.map(creation)))
    };

    let commits = join_all((0..16).map(|n| {
        let second = if n % 4 == 2 { john } else { susan };
        three(n, [susan, second, susan])
    }));
    let posts = join_all((100..116).map(|n| fixture.posts.create(draft(susan, &n.to_string()))));
    let (commits, posts) = join!(commits, posts);

    let mut created: Vec<Post> = posts.into_iter().map(Result::unwrap).collect();
    for (n, commit) in commits.into_iter().enumerate() {
        if n % 4 == 2 {
            let status = commit.unwrap_err();
            assert_refused(&status, Code::FailedPrecondition, "AUTHOR_NOT_FOUND");
            assert_eq!(metadata(&status, "mutation_index"), Some("1".into()));
        } else {
            let commit: Vec<_> = commit.unwrap().into_iter().map(Option::unwrap).collect();
            let ids: Vec<_> = commit.iter().map(|post| post.id - commit[0].id).collect();
            assert_eq!(ids, [0, 1, 2]);
            created.extend(commit);
        }
    }
    created.sort_by_key(|post| post.id);
    assert_eq!(created.len(), 16 + 12 * 3);
    assert_eq!(fixture.stored_bodies().await, bodies(&created));
}
