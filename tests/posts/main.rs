//! Tests of the post service over gRPC: every call, every error of a call, and a user service
//! that is slow, down or wrong.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper that fails is a failed test"
)]

#[path = "../support/mod.rs"]
mod support;

mod author_checks;
mod authors;
mod commit;
mod create;
mod delete;
mod failures;
mod fake_user_service;
mod feed;
mod idempotency;
mod invalid;
mod list;
mod multiple_violations;
mod outage;
mod pagination_property;
mod post_service_fixture;
mod purge;
mod read;
mod stored_responses;
mod system_fixture;
mod timestamps;
mod tutorial;
mod update;
mod watch;
mod worker_threads;

use proto::post::v1::{
    Author, CommitPostsRequest, DeletePostRequest, Post, PostMutation, UpdatePostRequest,
    author::State, post_mutation::Mutation,
};
use support::metadata;
use tonic::{Code, Status};

/// The domain of every ErrorInfo of this service.
const DOMAIN: &str = "microblog.post.v1";

#[track_caller]
fn assert_refused(status: &Status, code: Code, reason: &str) {
    support::assert_refused(DOMAIN, status, code, reason);
}

/// Asserts that exactly these fields are invalid, with the general reason.
#[track_caller]
fn assert_invalid(status: &Status, fields: &[&str]) {
    support::assert_violations(DOMAIN, status, "INVALID_FIELD", fields);
}

/// Asserts that exactly this field is invalid, with a special reason.
#[track_caller]
fn assert_violation(status: &Status, reason: &str, field: &str) {
    support::assert_violations(DOMAIN, status, reason, &[field]);
}

/// Returns a post to create.
fn draft(author_id: i64, body: &str) -> Post {
    Post {
        body: body.into(),
        author_id,
        ..Post::default()
    }
}

/// Returns the update of a body, without an etag.
fn rewrite(id: i64, body: &str) -> UpdatePostRequest {
    UpdatePostRequest {
        post: Some(Post {
            id,
            body: body.into(),
            ..Post::default()
        }),
        ..UpdatePostRequest::default()
    }
}

/// Adds an update mask.
fn masked(request: UpdatePostRequest, paths: &[&str]) -> UpdatePostRequest {
    UpdatePostRequest {
        update_mask: Some(prost_types::FieldMask {
            paths: paths.iter().map(|&path| path.into()).collect(),
        }),
        ..request
    }
}

fn delete(id: i64) -> DeletePostRequest {
    DeletePostRequest {
        id,
        ..DeletePostRequest::default()
    }
}

fn commit(mutations: impl IntoIterator<Item = Mutation>) -> CommitPostsRequest {
    let mutations = mutations.into_iter().map(|mutation| PostMutation {
        mutation: Some(mutation),
    });
    CommitPostsRequest {
        mutations: mutations.collect(),
        ..CommitPostsRequest::default()
    }
}

fn bodies(posts: &[Post]) -> Vec<&str> {
    posts.iter().map(|post| post.body.as_str()).collect()
}

fn ids(posts: &[Post]) -> Vec<i64> {
    posts.iter().map(|post| post.id).collect()
}

/// Returns the author in a post.
fn author(state: State, nickname: &str) -> Author {
    Author {
        state: state.into(),
        nickname: nickname.into(),
    }
}

/// Returns a post in the basic view.
fn basic(post: &Post) -> Post {
    Post {
        author: None,
        ..post.clone()
    }
}
