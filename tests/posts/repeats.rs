//! Requests with an id, which may be repeated.

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
    alone::Alone, assert_refused, assert_violation, author, basic, blog::Blog, commit,
    create::john_left, delete, draft, metadata, rewrite,
};
use crate::support;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
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
async fn a_repeat_returns_the_first_result_and_creates_nothing() {
    let blog = Blog::start().await;
    let id = request_id();
    let request = |id: &str| create(id, draft(blog.susan, "é"));
    let first = blog.posts.create_by(request(&id)).await.unwrap();
    let before = blog.stored().await;

    // Letter case does not tell UUIDs apart, nor its normalization a body.
    for repeat in [
        request(&id),
        request(&id.to_uppercase()),
        create(&id, draft(blog.susan, "e\u{301}")),
    ] {
        let repeated = blog.posts.create_by(repeat).await.unwrap();

        assert_eq!(repeated, first);
    }
    assert_eq!(blog.stored().await, before);
}

#[tokio::test]
async fn a_repeat_returns_the_first_result_whatever_became_of_the_post_and_its_author() {
    let blog = Blog::start().await;
    let id = request_id();
    let request = create(&id, draft(blog.susan, "1"));
    let first = blog.posts.create_by(request.clone()).await.unwrap();

    blog.posts.update(rewrite(first.id, "2")).await.unwrap();
    let after_update = blog.posts.create_by(request.clone()).await.unwrap();
    blog.posts.delete(delete(first.id)).await.unwrap();
    let after_delete = blog.posts.create_by(request.clone()).await.unwrap();
    let deletion = DeleteUserRequest {
        id: blog.susan,
        ..DeleteUserRequest::default()
    };
    blog.system.users().delete_user(deletion).await.unwrap();
    let after_all = blog.posts.create_by(request).await.unwrap();

    assert_eq!((&after_update, &after_delete), (&first, &first));
    assert_eq!(basic(&after_all), basic(&first));
    assert_eq!(blog.stored_bodies().await, [""; 0]);
}

#[tokio::test]
async fn a_repeat_needs_no_user_service() {
    let mut alone = Alone::with(1, |settings| {
        settings.authors.author_ttl = Duration::ZERO;
    })
    .await;
    let (one, other) = (request_id(), request_id());
    let creation = create(&one, draft(1, "created"));
    let commitment = commit_by(&other, [Mutation::Create(draft(1, "committed"))]);
    let created = alone.posts.create_by(creation.clone()).await.unwrap();
    let committed = alone.posts.commit(commitment.clone()).await.unwrap();
    let before = alone.count().await;
    // Of its author nothing is known any more.
    alone.users.lose(1);
    alone.posts.get(1).await.unwrap();

    alone.stop_users().await;
    let created_again = alone.posts.create_by(creation).await.unwrap();
    let committed_again = alone.posts.commit(commitment).await.unwrap();

    assert_eq!(basic(&created_again), basic(&created));
    assert_eq!(created_again.author.unwrap().state(), State::Unavailable);
    assert_eq!(committed_again, committed);
    assert_eq!(alone.count().await, before);
}

#[tokio::test]
async fn a_repeat_shows_a_deleted_author_as_such() {
    let alone = Alone::with(1, |settings| {
        settings.authors.author_ttl = Duration::ZERO;
    })
    .await;
    let request = create(&request_id(), draft(1, "x"));
    let first = alone.posts.create_by(request.clone()).await.unwrap();
    alone.remove(1).await;

    let repeated = alone.posts.create_by(request).await.unwrap();

    let expected = Post {
        author: Some(author(State::Deleted, "")),
        ..first
    };
    assert_eq!(repeated, expected);
}

#[tokio::test]
async fn of_20_equal_requests_at_once_one_creates_and_all_get_the_post() {
    let blog = Blog::start().await;
    let request = create(&request_id(), draft(blog.susan, "1"));

    let results = join_all((0..20).map(|_| blog.posts.create_by(request.clone()))).await;

    let first = results[0].as_ref().unwrap();
    for result in &results {
        assert_eq!(result.as_ref().unwrap(), first);
    }
    assert_eq!(blog.stored_bodies().await, ["1"]);
}

#[tokio::test]
async fn of_many_requests_at_once_each_is_done_once_and_repeated_as_it_was() {
    let blog = john_left().await;
    let authors = |n: usize| if n % 8 == 5 { blog.john } else { blog.susan };
    let creations: Vec<_> = (0..32)
        .map(|n| create(&request_id(), draft(authors(n), &n.to_string())))
        .collect();
    let commits: Vec<_> = (0..32)
        .map(|n| {
            let two = [blog.susan, authors(n)];
            commit_by(
                &request_id(),
                two.map(|author| Mutation::Create(draft(author, "x"))),
            )
        })
        .collect();
    let without_id = || (0..8).map(|n| blog.posts.create(draft(authors(n), "without")));
    let all = || async {
        let created = creations
            .iter()
            .map(|request| blog.posts.create_by(request.clone()));
        let committed = commits
            .iter()
            .map(|request| blog.posts.commit(request.clone()));
        let (created, committed, _) = join!(
            join_all(created),
            join_all(committed),
            join_all(without_id())
        );
        (created, committed)
    };

    let (created, committed) = all().await;
    let stored = blog.stored_bodies().await.len();
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
    // 28 of both, of two posts each in commits, and 7 without an id.
    assert_eq!(stored, 28 + 2 * 28 + 7);
    assert_eq!(blog.stored_bodies().await.len(), stored + 7);
}

#[tokio::test]
async fn a_request_id_that_many_use_at_once_creates_once_beside_refused_commits_too() {
    // A refused commit makes a batch fall apart; without one its requests are done together.
    for refused_too in [false, true] {
        let blog = john_left().await;
        let (single, equal, reused, bad) = (request_id(), request_id(), request_id(), request_id());
        let two = |body: &str, second| {
            [blog.susan, second].map(|author| Mutation::Create(draft(author, body)))
        };
        let posts = (0..16).map(|_| {
            blog.posts
                .create_by(create(&single, draft(blog.susan, "0")))
        });
        let commits = (0..16).flat_map(|n| {
            let mut commits = vec![
                commit_by(&equal, two("1", blog.susan)),
                commit_by(&reused, two(&format!("reused{n}"), blog.susan)),
            ];
            if refused_too {
                commits.push(commit_by(&bad, two("2", blog.john)));
            }
            commits
        });
        let commits: Vec<_> = commits.collect();
        let committed = commits
            .iter()
            .map(|request| blog.posts.commit(request.clone()));

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
        // One post, and two of each of two commits.
        assert_eq!(blog.stored_bodies().await.len(), 1 + 2 + 2);
        let remembered = blog
            .system
            .query("select hex(request_id) from post_requests")
            .await;
        assert_eq!(remembered.len(), 3);
    }
}

#[tokio::test]
async fn a_request_id_that_another_request_had_is_refused() {
    let blog = Blog::start().await;
    let id = request_id();
    let request = create(&id, draft(blog.susan, "1"));
    blog.posts.create_by(request).await.unwrap();
    let before = blog.stored().await;

    // Whether there is such an author does not matter.
    for other in [
        draft(blog.susan, "2"),
        draft(blog.john, "1"),
        draft(99, "1"),
    ] {
        let only_validated = CreatePostRequest {
            validate_only: true,
            ..create(&id, other.clone())
        };
        for request in [create(&id, other), only_validated] {
            let status = blog.posts.create_by(request).await.unwrap_err();

            assert_violation(&status, "REQUEST_ID_REUSED", "request_id");
        }
    }
    assert_eq!(blog.stored().await, before);
}

#[tokio::test]
async fn a_request_id_that_another_method_had_is_refused() {
    let blog = Blog::start().await;
    let (one, other) = (request_id(), request_id());
    let post = draft(blog.susan, "1");
    let creation = create(&one, post.clone());
    let commitment = commit_by(&other, [Mutation::Create(post.clone())]);
    blog.posts.create_by(creation.clone()).await.unwrap();
    blog.posts.commit(commitment.clone()).await.unwrap();
    let before = blog.stored().await;

    let committed = blog
        .posts
        .commit(CommitPostsRequest {
            request_id: one,
            ..commitment
        })
        .await
        .unwrap_err();
    let created = blog
        .posts
        .create_by(CreatePostRequest {
            request_id: other,
            ..creation
        })
        .await
        .unwrap_err();

    assert_violation(&committed, "REQUEST_ID_REUSED", "request_id");
    assert_violation(&created, "REQUEST_ID_REUSED", "request_id");
    assert_eq!(blog.stored().await, before);
}

#[tokio::test]
async fn a_repeated_batch_returns_the_first_results_and_changes_nothing() {
    let blog = Blog::start().await;
    let id = request_id();
    let posts = blog.posts.create_all(blog.susan, ["1", "2"]).await;
    let request = commit_by(
        &id,
        [
            Mutation::Create(draft(blog.john, "3")),
            Mutation::Update(rewrite(posts[0].id, "new 1")),
            Mutation::Delete(delete(posts[1].id)),
        ],
    );
    let first = blog.posts.commit(request.clone()).await.unwrap();
    let before = blog.stored().await;

    let repeats = join_all((0..20).map(|_| blog.posts.commit(request.clone()))).await;
    let shorter = commit_by(&id, [Mutation::Create(draft(blog.john, "3"))]);
    let reused = blog.posts.commit(shorter).await.unwrap_err();

    for repeat in &repeats {
        assert_eq!(repeat.as_ref().unwrap(), &first);
    }
    assert_violation(&reused, "REQUEST_ID_REUSED", "request_id");
    assert_eq!(blog.stored().await, before);
}

#[tokio::test]
async fn a_request_is_remembered_for_24_hours() {
    let clock = Clock::manual(noon());
    let blog = Blog::at(clock.clone()).await;
    let request = create(&request_id(), draft(blog.susan, "1"));
    let first = blog.posts.create_by(request.clone()).await.unwrap();

    clock.advance(DAY.checked_sub(MICROSECOND).unwrap());
    let within = blog.posts.create_by(request.clone()).await.unwrap();
    clock.advance(MICROSECOND);
    let afterwards = blog.posts.create_by(request.clone()).await.unwrap();
    let repeated = blog.posts.create_by(request).await.unwrap();

    assert_eq!(within, first);
    assert!(afterwards.id > first.id);
    assert_eq!(repeated, afterwards);
    assert_eq!(blog.stored_bodies().await, ["1", "1"]);
}

#[tokio::test]
async fn a_request_is_remembered_by_the_next_process() {
    let blog = Blog::at(Clock::manual(noon())).await;
    let request = create(&request_id(), draft(blog.susan, "1"));
    let first = blog.posts.create_by(request.clone()).await.unwrap();

    let blog = blog.restart(Clock::manual(noon())).await;
    let repeated = blog.posts.create_by(request).await.unwrap();

    assert_eq!(repeated, first);
}

#[tokio::test]
async fn what_is_no_longer_remembered_is_deleted_though_the_clock_was_ahead_before() {
    let requests = "select hex(request_id) from post_requests order by id";
    let blog = Blog::at(Clock::manual(noon())).await;
    // As many as are looked at, by one step.
    let ahead = "insert into post_requests (request_id, fingerprint, result, create_time)
        with recursive n (i) as (select 1 union all select i + 1 from n where i < 500)
        select randomblob(16), randomblob(32), '{}', 10000000000000000 from n
        returning hex(request_id)";
    let first = blog.system.query(ahead).await;
    let kept = create(&request_id(), draft(blog.susan, "2"));
    blog.posts.create_by(kept).await.unwrap();

    // It looks for old ones at its start.
    let blog = blog.restart(Clock::manual(noon() + DAY)).await;

    let forgotten = async {
        while blog.system.query(requests).await != first {
            tokio::task::yield_now().await;
        }
    };
    support::soon(forgotten).await;
}

#[tokio::test]
async fn a_request_that_was_refused_may_be_made_again() {
    let alone = Alone::start(1).await;
    let request = create(&request_id(), draft(2, "x"));
    let refused = alone.posts.create_by(request.clone()).await.unwrap_err();
    alone.add(2..=2).await;

    let created = alone.posts.create_by(request).await.unwrap();

    assert_refused(&refused, Code::FailedPrecondition, "AUTHOR_NOT_FOUND");
    assert_eq!(alone.posts.get(created.id).await.unwrap(), created);
}

#[tokio::test]
async fn a_request_that_was_only_validated_may_be_made_in_earnest() {
    let blog = Blog::start().await;
    let creation = create(&request_id(), draft(blog.susan, "created"));
    let committed = Mutation::Create(draft(blog.susan, "committed"));
    let commitment = commit_by(&request_id(), [committed]);
    let validated = CreatePostRequest {
        validate_only: true,
        ..creation.clone()
    };
    let validated_batch = CommitPostsRequest {
        validate_only: true,
        ..commitment.clone()
    };
    blog.posts.create_by(validated).await.unwrap();
    blog.posts.commit(validated_batch).await.unwrap();
    assert_eq!(blog.stored().await, [""; 0]);

    let created = blog.posts.create_by(creation).await.unwrap();
    blog.posts.commit(commitment).await.unwrap();

    assert!(created.id > 0);
    assert_eq!(blog.stored_bodies().await, ["created", "committed"]);
}
