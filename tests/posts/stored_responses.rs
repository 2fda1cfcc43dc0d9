//! The limit on the responses that are stored for request ids.

use futures::{future::join_all, join};
use proto::post::v1::{CommitPostsRequest, CreatePostRequest, Post, post_mutation::Mutation};
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use super::{assert_refused, commit, draft, system_fixture::SystemFixture};

/// Selects the bytes of the stored responses, as the limit counts them.
const STORED_BYTES: &str = "select cast(coalesce(sum(octet_length(result) + 128), 0) as text) \
    from post_requests";

fn create(post: Post) -> CreatePostRequest {
    CreatePostRequest {
        post: Some(post),
        request_id: Uuid::new_v4().to_string(),
        validate_only: false,
    }
}

fn commit_of(author: i64, posts: usize) -> CommitPostsRequest {
    let mutations = (0..posts).map(|n| Mutation::Create(draft(author, &n.to_string())));
    CommitPostsRequest {
        request_id: Uuid::new_v4().to_string(),
        ..commit(mutations)
    }
}

async fn limited(max_bytes: u64) -> SystemFixture {
    SystemFixture::with(|settings| settings.database.max_stored_response_bytes = max_bytes).await
}

async fn stored_bytes(fixture: &SystemFixture) -> u64 {
    fixture.system.query(STORED_BYTES).await[0].parse().unwrap()
}

#[track_caller]
fn assert_full(status: &Status) {
    assert_refused(status, Code::ResourceExhausted, "REQUEST_ID_STORAGE_FULL");
    assert!(
        status
            .get_details_retry_info()
            .unwrap()
            .retry_delay
            .is_some()
    );
}

#[tokio::test]
async fn a_response_is_stored_only_if_all_of_it_fits() {
    let fixture = limited(10_000).await;
    let before = fixture.stored().await;

    let large = fixture.posts.commit(commit_of(fixture.susan, 100)).await;
    let after = fixture.stored().await;
    let small = commit_of(fixture.susan, 10);
    let first = fixture.posts.commit(small.clone()).await.unwrap();
    let replayed = fixture.posts.commit(small).await.unwrap();

    assert_full(&large.unwrap_err());
    assert_eq!(after, before);
    assert_eq!(replayed, first);
}

#[tokio::test]
async fn every_call_with_a_new_request_id_is_refused_without_room() {
    let fixture = limited(0).await;
    let created = create(draft(fixture.susan, "1"));
    let validated = CreatePostRequest {
        validate_only: true,
        ..created.clone()
    };
    let validated_commit = CommitPostsRequest {
        validate_only: true,
        ..commit_of(fixture.susan, 2)
    };

    let refused = [
        fixture.posts.create_by(created).await.unwrap_err(),
        fixture.posts.create_by(validated).await.unwrap_err(),
        fixture
            .posts
            .commit(commit_of(fixture.susan, 2))
            .await
            .unwrap_err(),
        fixture.posts.commit(validated_commit).await.unwrap_err(),
    ];

    refused.iter().for_each(assert_full);
    assert_eq!(fixture.stored().await, [""; 0]);
    fixture
        .posts
        .create(draft(fixture.susan, "2"))
        .await
        .unwrap();
}

#[tokio::test]
async fn concurrent_commits_are_refused_beyond_the_limit_only() {
    let fixture = limited(20_000).await;
    let keyed: Vec<_> = (0..64).map(|_| commit_of(fixture.susan, 5)).collect();

    let with_id = keyed
        .iter()
        .map(|request| fixture.posts.commit(request.clone()));
    let without = (0..16).map(|_| fixture.posts.create(draft(fixture.john, "free")));
    let (with_id, without) = join!(join_all(with_id), join_all(without));
    let replays = keyed
        .iter()
        .map(|request| fixture.posts.commit(request.clone()));
    let replays = join_all(replays).await;

    let mut created = 0;
    for (first, replay) in with_id.iter().zip(&replays) {
        match first {
            Ok(first) => {
                created += 1;
                assert_eq!(replay.as_ref().unwrap(), first);
            }
            Err(status) => {
                assert_full(status);
                assert_full(replay.as_ref().unwrap_err());
            }
        }
    }
    assert!(without.iter().all(Result::is_ok));
    assert_eq!(fixture.stored_bodies().await.len(), 5 * created + 16);
    let stored = stored_bytes(&fixture).await;
    assert!(stored <= 20_000 && stored > 18_000, "{stored} bytes");
}
