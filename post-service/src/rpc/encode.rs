//! Posts as they travel.

use std::collections::HashMap;

use chassis::pagination;
use proto::{
    post::v1::{self, ListPostsResponse, author::State},
    timestamp,
};

use super::decode::{View, page_context};
use crate::{
    authors::Author,
    error::Error,
    post::{AuthorId, Post},
    store::{List, Page},
};

/// A post, with its author if that is among `authors`.
pub(super) fn post(post: Post, authors: &HashMap<AuthorId, Author>) -> v1::Post {
    v1::Post {
        etag: post.etag().into_string(),
        id: post.id,
        body: post.body,
        create_time: Some(timestamp::encode(post.create_time)),
        author_id: post.author.get(),
        author: authors.get(&post.author).map(author),
        update_time: Some(timestamp::encode(post.update_time)),
    }
}

fn author(author: &Author) -> v1::Author {
    let (state, nickname) = match author {
        Author::Resolved(nickname) => (State::Resolved, nickname.to_string()),
        // The post was there when it was read, and its foreign key is never broken: both
        // are gone by now.
        Author::Missing => (State::Deleted, String::new()),
        Author::Unavailable(last) => (
            State::Unavailable,
            last.as_deref().unwrap_or_default().to_owned(),
        ),
    };
    v1::Author {
        state: state.into(),
        nickname,
    }
}

/// A page, with the token of the next one.
pub(super) fn page(
    list: &List,
    view: View,
    page: Page,
    authors: &HashMap<AuthorId, Author>,
) -> Result<ListPostsResponse, Error> {
    let Page { posts, next, total } = page;
    let next_page_token = next
        .map(|cursor| pagination::encode(&page_context(list, view), &cursor))
        .transpose()
        .map_err(|error| Error::Corrupt(format!("a page token: {error}")))?;
    Ok(ListPostsResponse {
        posts: posts.into_iter().map(|item| post(item, authors)).collect(),
        next_page_token: next_page_token.unwrap_or_default(),
        total_size: total,
    })
}
