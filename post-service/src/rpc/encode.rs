//! The messages of the contract, made from posts and authors.

use chassis::serving::pagination;
use proto::{
    post::v1::{self, CommitPostsResponse, ListPostsResponse, PostMutationResult, author::State},
    timestamp,
};

use super::decode::page_context;
use crate::{
    authors::Author,
    error::Error,
    post::{Post, View},
    store::{List, Page},
};

/// Returns a post, with its author if that is to be shown.
pub(super) fn post(post: &Post, author: Option<&Author>) -> v1::Post {
    let etag = post.etag().into_string();
    let Post {
        id,
        body,
        create_time,
        update_time,
        // In the etag.
        revision: _,
        author: author_id,
    } = post;
    v1::Post {
        id: *id,
        body: body.to_string(),
        create_time: Some(timestamp::encode(*create_time)),
        author_id: author_id.get(),
        author: author.map(v1::Author::from),
        update_time: Some(timestamp::encode(*update_time)),
        etag,
    }
}

/// Returns the result of each mutation: its post, or nothing for a deletion.
pub(super) fn results(posts: &[Option<Post>]) -> CommitPostsResponse {
    let result = |stored: &Option<Post>| PostMutationResult {
        post: stored.as_ref().map(|stored| post(stored, None)),
    };
    CommitPostsResponse {
        results: posts.iter().map(result).collect(),
    }
}

/// Returns a page, with the token of the next one. `authors` are those of its posts, in their
/// order, or none if they are not to be shown.
pub(super) fn page(
    list: &List,
    view: View,
    page: &Page,
    authors: &[Author],
) -> Result<ListPostsResponse, Error> {
    let Page {
        posts,
        next,
        total,
        response: _,
    } = page;
    let next_page_token = next
        .map(|cursor| pagination::encode(&page_context(list, view), &cursor))
        .transpose()
        .map_err(|error| Error::Corrupt(format!("a page token: {error}")))?;
    let shown = posts.iter().enumerate();
    Ok(ListPostsResponse {
        posts: shown
            .map(|(at, shown)| post(shown, authors.get(at)))
            .collect(),
        next_page_token: next_page_token.unwrap_or_default(),
        total_size: *total,
    })
}

impl From<&Author> for v1::Author {
    fn from(author: &Author) -> Self {
        let (state, nickname) = match author {
            Author::Resolved(nickname) => (State::Resolved, &**nickname),
            // The post was there when it was read, and its foreign key is never broken: both
            // are gone by now.
            Author::Missing => (State::Deleted, ""),
            Author::Unavailable(last) => (State::Unavailable, last.as_deref().unwrap_or_default()),
        };
        Self {
            state: state.into(),
            nickname: nickname.to_owned(),
        }
    }
}
