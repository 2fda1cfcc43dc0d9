//! Requests with an idempotency key (`request_id`), and their replays.

use std::time::Duration;

use chassis::process::clock::Clock;
use chrono::{DateTime, Utc};
use futures::{future::join_all, join};
use proto::{
    post::v1::{
        CommitPostsRequest, CreatePostRequest, Post, author::State, post_mutation::Mutation,
    },
    user::v1::DeleteUserRequest,
};
use tonic::Code;
use uuid::Uuid;

use super::{
    assert_refused, assert_violation, author, basic, commit, create::with_deleted_author, delete,
    draft, metadata, post_service_fixture::PostServiceFixture, rewrite,
    system_fixture::SystemFixture,
};
use crate::support;

const DAY: Duration = Duration::from_hours(24);
const MICROSECOND: Duration = Duration::from_micros(1);

fn request_id() -> String {
    Uuid::new_v4().to_string()
}

fn create(request_id: &str, post: Post) -> CreatePostRequest {
    CreatePostRequest {
        post: Some(post),
        request_id: request_id.into(),
        validate_only: false,
    }
}

fn commit_by(
    request_id: &str,
    mutations: impl IntoIterator<Item = Mutation>,
) -> CommitPostsRequest {
    CommitPostsRequest {
        request_id: request_id.into(),
        ..commit(mutations)
    }
}

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

#[tokio::test]
async fn a_replay_returns_the_first_response_and_creates_nothing() {
    let fixture = SystemFixture::start().await;
    let id = request_id();
    let request = |id: &str| create(id, draft(fixture.susan, "é"));
    let first = fixture.posts.create_by(request(&id)).await.unwrap();
    let before = fixture.stored().await;

    // UUIDs that differ only in letter case are equal, and so are bodies after normalization.
    for repeat in [
        request(&id),
        request(&id.to_uppercase()),
        create(&id, draft(fixture.susan, "e\u{301}")),
    ] {
        let repeated = fixture.posts.create_by(repeat).await.unwrap();

        assert_eq!(repeated, first);
    }
    assert_eq!(fixture.stored().await, before);
}

#[tokio::test]
async fn a_replay_returns_the_first_response_after_the_post_changed() {
    let fixture = SystemFixture::start().await;
    let id = request_id();
    let request = create(&id, draft(fixture.susan, "1"));
    let first = fixture.posts.create_by(request.clone()).await.unwrap();

    fixture.posts.update(rewrite(first.id, "2")).await.unwrap();
    let after_update = fixture.posts.create_by(request.clone()).await.unwrap();
    fixture.posts.delete(delete(first.id)).await.unwrap();
    let after_delete = fixture.posts.create_by(request.clone()).await.unwrap();
    let deletion = DeleteUserRequest {
        id: fixture.susan,
        ..DeleteUserRequest::default()
    };
    fixture.system.users().delete_user(deletion).await.unwrap();
    let after_all = fixture.posts.create_by(request).await.unwrap();

    assert_eq!((&after_update, &after_delete), (&first, &first));
    assert_eq!(basic(&after_all), basic(&first));
    assert_eq!(fixture.stored_bodies().await, [""; 0]);
}

#[tokio::test]
async fn a_replay_succeeds_without_the_user_service() {
    let mut fixture = PostServiceFixture::with(1, |settings| {
        settings.authors.author_ttl = Duration::ZERO;
    })
    .await;
    let (one, other) = (request_id(), request_id());
    let creation = create(&one, draft(1, "created"));
    let commitment = commit_by(&other, [Mutation::Create(draft(1, "committed"))]);
    let created = fixture.posts.create_by(creation.clone()).await.unwrap();
    let committed = fixture.posts.commit(commitment.clone()).await.unwrap();
    let before = fixture.count().await;
    // The author is no longer cached.
    fixture.users.remove_user(1);
    fixture.posts.get(1).await.unwrap();

    fixture.stop_users().await;
    let created_again = fixture.posts.create_by(creation).await.unwrap();
    let committed_again = fixture.posts.commit(commitment).await.unwrap();

    assert_eq!(basic(&created_again), basic(&created));
    assert_eq!(created_again.author.unwrap().state(), State::Unavailable);
    assert_eq!(committed_again, committed);
    assert_eq!(fixture.count().await, before);
}

#[tokio::test]
async fn a_replay_shows_a_deleted_author_as_deleted() {
    let fixture = PostServiceFixture::with(1, |settings| {
        settings.authors.author_ttl = Duration::ZERO;
    })
    .await;
    let request = create(&request_id(), draft(1, "x"));
    let first = fixture.posts.create_by(request.clone()).await.unwrap();
    fixture.remove(1).await;

    let repeated = fixture.posts.create_by(request).await.unwrap();

    let expected = Post {
        author: Some(author(State::Deleted, "")),
        ..first
    };
    assert_eq!(repeated, expected);
}

#[tokio::test]
async fn equal_concurrent_requests_create_one_post() {
    let fixture = SystemFixture::start().await;
    let request = create(&request_id(), draft(fixture.susan, "1"));

    let results = join_all((0..20).map(|_| fixture.posts.create_by(request.clone()))).await;

    let first = results[0].as_ref().unwrap();
    for result in &results {
        assert_eq!(result.as_ref().unwrap(), first);
    }
    assert_eq!(fixture.stored_bodies().await, ["1"]);
}

#[tokio::test]
async fn concurrent_requests_are_executed_once_and_replayed() {
    let fixture = with_deleted_author().await;
    let authors = |n: usize| {
        if n % 8 == 5 {
            fixture.john
        } else {
            fixture.susan
        }
    };
    let creations: Vec<_> = (0..32)
        .map(|n| create(&request_id(), draft(authors(n), &n.to_string())))
        .collect();
    let commits: Vec<_> = (0..32)
        .map(|n| {
            let two = [fixture.susan, authors(n)];
            commit_by(
                &request_id(),
                two.map(|author| Mutation::Create(draft(author, "x"))),
            )
        })
        .collect();
    let without_id = || (0..8).map(|n| fixture.posts.create(draft(authors(n), "without")));
    let all = || async {
        let created = creations
            .iter()
            .map(|request| fixture.posts.create_by(request.clone()));
        let committed = commits
            .iter()
            .map(|request| fixture.posts.commit(request.clone()));
        let (created, committed, _) = join!(
            join_all(created),
            join_all(committed),
            join_all(without_id())
        );
        (created, committed)
    };

    let (created, committed) = all().await;
    let stored = fixture.stored_bodies().await.len();
    let (created_again, committed_again) = all().await;

    for n in 0..32 {
        if n % 8 == 5 {
            for status in [
                created[n].as_ref().unwrap_err(),
                created_again[n].as_ref().unwrap_err(),
                committed[n].as_ref().unwrap_err(),
                committed_again[n].as_ref().unwrap_err(),
            ] {
                assert_refused(status, Code::FailedPrecondition, "AUTHOR_NOT_FOUND");
            }
        } else {
            let (created, committed) = (created[n].as_ref().unwrap(), committed[n].as_ref());
            assert_eq!(created.body, n.to_string());
            assert_eq!(created_again[n].as_ref().unwrap(), created);
            assert_eq!(committed_again[n].as_ref().unwrap(), committed.unwrap());
        }
    }
    // 28 creations, 28 commits of two posts each, and 7 requests without an id.
    assert_eq!(stored, 28 + 2 * 28 + 7);
    assert_eq!(fixture.stored_bodies().await.len(), stored + 7);
}

#[tokio::test]
async fn a_request_id_used_concurrently_is_executed_once() {
    // If a commit is rejected, the creations of its batch are executed one by one.
    for with_rejected in [false, true] {
        let fixture = with_deleted_author().await;
        let (single, equal, reused, bad) = (request_id(), request_id(), request_id(), request_id());
        let two = |body: &str, second| {
            [fixture.susan, second].map(|author| Mutation::Create(draft(author, body)))
        };
        let posts = (0..16).map(|_| {
            fixture
                .posts
                .create_by(create(&single, draft(fixture.susan, "0")))
        });
        let commits = (0..16).flat_map(|n| {
            let mut commits = vec![
                commit_by(&equal, two("1", fixture.susan)),
                commit_by(&reused, two(&format!("reused{n}"), fixture.susan)),
            ];
            if with_rejected {
                commits.push(commit_by(&bad, two("2", fixture.john)));
            }
            commits
        });
        let commits: Vec<_> = commits.collect();
        let committed = commits
            .iter()
            .map(|request| fixture.posts.commit(request.clone()));

        let (posts, committed) = join!(join_all(posts), join_all(committed));

        let first = posts[0].as_ref().unwrap();
        for post in &posts {
            assert_eq!(post.as_ref().unwrap(), first);
        }
        let (mut equals, mut others) = (Vec::new(), Vec::new());
        for (request, result) in commits.iter().zip(committed) {
            match result {
                Ok(posts) if request.request_id == equal => equals.push(posts),
                Ok(posts) => others.push((&request.request_id, posts)),
                Err(status) if request.request_id == bad => {
                    assert_refused(&status, Code::FailedPrecondition, "AUTHOR_NOT_FOUND");
                    assert_eq!(metadata(&status, "mutation_index"), Some("1".into()));
                }
                Err(status) => {
                    assert_eq!(request.request_id, reused);
                    assert_violation(&status, "REQUEST_ID_REUSED", "request_id");
                }
            }
        }
        assert_eq!(equals.len(), 16);
        equals.dedup();
        assert_eq!(equals.len(), 1);
        assert!(
            matches!(others.as_slice(), [(id, _)] if **id == reused),
            "{others:?}"
        );
        // The creation has one post. Two commits have two posts each.
        assert_eq!(fixture.stored_bodies().await.len(), 1 + 2 + 2);
        let recorded = fixture
            .system
            .query("select hex(request_id) from post_requests")
            .await;
        assert_eq!(recorded.len(), 3);
    }
}

#[tokio::test]
async fn a_request_id_of_another_request_is_rejected() {
    let fixture = SystemFixture::start().await;
    let id = request_id();
    let request = create(&id, draft(fixture.susan, "1"));
    fixture.posts.create_by(request).await.unwrap();
    let before = fixture.stored().await;

    // The request id is checked before the author.
    for other in [
        draft(fixture.susan, "2"),
        draft(fixture.john, "1"),
        draft(99, "1"),
    ] {
        let only_validated = CreatePostRequest {
            validate_only: true,
            ..create(&id, other.clone())
        };
        for request in [create(&id, other), only_validated] {
            let status = fixture.posts.create_by(request).await.unwrap_err();

            assert_violation(&status, "REQUEST_ID_REUSED", "request_id");
        }
    }
    assert_eq!(fixture.stored().await, before);
}

#[tokio::test]
async fn a_request_id_of_another_method_is_rejected() {
    let fixture = SystemFixture::start().await;
    let (one, other) = (request_id(), request_id());
    let post = draft(fixture.susan, "1");
    let creation = create(&one, post.clone());
    let commitment = commit_by(&other, [Mutation::Create(post.clone())]);
    fixture.posts.create_by(creation.clone()).await.unwrap();
    fixture.posts.commit(commitment.clone()).await.unwrap();
    let before = fixture.stored().await;

    let committed = fixture
        .posts
        .commit(CommitPostsRequest {
            request_id: one,
            ..commitment
        })
        .await
        .unwrap_err();
    let created = fixture
        .posts
        .create_by(CreatePostRequest {
            request_id: other,
            ..creation
        })
        .await
        .unwrap_err();

    assert_violation(&committed, "REQUEST_ID_REUSED", "request_id");
    assert_violation(&created, "REQUEST_ID_REUSED", "request_id");
    assert_eq!(fixture.stored().await, before);
}

#[tokio::test]
async fn a_replayed_commit_returns_the_first_results() {
    let fixture = SystemFixture::start().await;
    let id = request_id();
    let posts = fixture.posts.create_all(fixture.susan, ["1", "2"]).await;
    let request = commit_by(
        &id,
        [
            Mutation::Create(draft(fixture.john, "3")),
            Mutation::Update(rewrite(posts[0].id, "new 1")),
            Mutation::Delete(delete(posts[1].id)),
        ],
    );
    let first = fixture.posts.commit(request.clone()).await.unwrap();
    let before = fixture.stored().await;

    let repeats = join_all((0..20).map(|_| fixture.posts.commit(request.clone()))).await;
    let shorter = commit_by(&id, [Mutation::Create(draft(fixture.john, "3"))]);
    let reused = fixture.posts.commit(shorter).await.unwrap_err();

    for repeat in &repeats {
        assert_eq!(repeat.as_ref().unwrap(), &first);
    }
    assert_violation(&reused, "REQUEST_ID_REUSED", "request_id");
    assert_eq!(fixture.stored().await, before);
}

#[tokio::test]
async fn an_idempotency_record_is_valid_for_24_hours() {
    let clock = Clock::manual(noon());
    let fixture = SystemFixture::at(clock.clone()).await;
    let request = create(&request_id(), draft(fixture.susan, "1"));
    let first = fixture.posts.create_by(request.clone()).await.unwrap();

    clock.advance(DAY.checked_sub(MICROSECOND).unwrap());
    let within = fixture.posts.create_by(request.clone()).await.unwrap();
    clock.advance(MICROSECOND);
    let afterwards = fixture.posts.create_by(request.clone()).await.unwrap();
    let repeated = fixture.posts.create_by(request).await.unwrap();

    assert_eq!(within, first);
    assert!(afterwards.id > first.id);
    assert_eq!(repeated, afterwards);
    assert_eq!(fixture.stored_bodies().await, ["1", "1"]);
}

#[tokio::test]
async fn a_request_is_replayed_by_the_next_process() {
    let fixture = SystemFixture::at(Clock::manual(noon())).await;
    let request = create(&request_id(), draft(fixture.susan, "1"));
    let first = fixture.posts.create_by(request.clone()).await.unwrap();

    let fixture = fixture.restart(Clock::manual(noon())).await;
    let repeated = fixture.posts.create_by(request).await.unwrap();

    assert_eq!(repeated, first);
}

#[tokio::test]
async fn expired_records_are_pruned_despite_records_from_the_future() {
    let requests = "select hex(request_id) from post_requests order by id";
    let fixture = SystemFixture::at(Clock::manual(noon())).await;
    // The number of records that one step of pruning reads.
    let ahead = "insert into post_requests (request_id, fingerprint, result, create_time)
        with recursive n (i) as (select 1 union all select i + 1 from n where i < 500)
        select randomblob(16), randomblob(32), '{}', 10000000000000000 from n
        returning hex(request_id)";
    let first = fixture.system.query(ahead).await;
    let kept = create(&request_id(), draft(fixture.susan, "2"));
    fixture.posts.create_by(kept).await.unwrap();

    // The service prunes at its start.
    let fixture = fixture.restart(Clock::manual(noon() + DAY)).await;

    let forgotten = async {
        while fixture.system.query(requests).await != first {
            tokio::task::yield_now().await;
        }
    };
    support::within_timeout(forgotten).await;
}

#[tokio::test]
async fn a_rejected_request_can_be_retried_with_its_id() {
    let fixture = PostServiceFixture::start(1).await;
    let request = create(&request_id(), draft(2, "x"));
    let rejected = fixture.posts.create_by(request.clone()).await.unwrap_err();
    fixture.add(2..=2).await;

    let created = fixture.posts.create_by(request).await.unwrap();

    assert_refused(&rejected, Code::FailedPrecondition, "AUTHOR_NOT_FOUND");
    assert_eq!(fixture.posts.get(created.id).await.unwrap(), created);
}

#[tokio::test]
async fn a_dry_run_does_not_use_up_its_request_id() {
    let fixture = SystemFixture::start().await;
    let creation = create(&request_id(), draft(fixture.susan, "created"));
    let committed = Mutation::Create(draft(fixture.susan, "committed"));
    let commitment = commit_by(&request_id(), [committed]);
    let validated = CreatePostRequest {
        validate_only: true,
        ..creation.clone()
    };
    let validated_batch = CommitPostsRequest {
        validate_only: true,
        ..commitment.clone()
    };
    fixture.posts.create_by(validated).await.unwrap();
    fixture.posts.commit(validated_batch).await.unwrap();
    assert_eq!(fixture.stored().await, [""; 0]);

    let created = fixture.posts.create_by(creation).await.unwrap();
    fixture.posts.commit(commitment).await.unwrap();

    assert!(created.id > 0);
    assert_eq!(fixture.stored_bodies().await, ["created", "committed"]);
}
