//! Encodes posts and authors as messages of the contract.

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
    store::{ListQuery, Page},
};

/// Encodes a post, with its author if one is given.
pub(super) fn post(post: &Post, author: Option<&Author>) -> v1::Post {
    let etag = post.etag().into_string();
    let Post {
        id,
        body,
        create_time,
        update_time,
        // A part of the etag.
        revision: _,
        author_id,
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

/// Encodes the result of each mutation. A deletion has no post.
pub(super) fn results(posts: &[Option<Post>]) -> CommitPostsResponse {
    let result = |stored: &Option<Post>| PostMutationResult {
        post: stored.as_ref().map(|stored| post(stored, None)),
    };
    CommitPostsResponse {
        results: posts.iter().map(result).collect(),
    }
}

/// Encodes a page, with the token of the next one. `authors` has the author of each post in the
/// order of the posts, or is empty in the basic view.
pub(super) fn page(
    query: &ListQuery,
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
        .map(|cursor| pagination::encode(&page_context(query, view), &cursor))
        .transpose()
        .map_err(|error| Error::Corrupt(format!("a page token: {error}")))?;
    let posts = posts.iter().enumerate();
    Ok(ListPostsResponse {
        posts: posts
            .map(|(index, stored)| post(stored, authors.get(index)))
            .collect(),
        next_page_token: next_page_token.unwrap_or_default(),
        total_size: *total,
    })
}

impl From<&Author> for v1::Author {
    fn from(author: &Author) -> Self {
        let (state, nickname) = match author {
            Author::Resolved(nickname) => (State::Resolved, &**nickname),
            // The post existed when it was read, and its foreign key held. Thus both have been
            // deleted since.
            Author::Deleted => (State::Deleted, ""),
            Author::Unavailable(last) => (State::Unavailable, last.as_deref().unwrap_or_default()),
        };
        Self {
            state: state.into(),
            nickname: nickname.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use prost::Message;
    use proto::post::v1::GetPostResponse;

    use super::*;
    use crate::post::AuthorId;

    #[test]
    fn a_post_is_encoded_as_in_the_contract() {
        let time = DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap();
        let stored = Post {
            id: 7,
            body: "h\u{e9}".into(),
            create_time: time,
            update_time: time,
            revision: 3,
            author_id: AuthorId::parse(300).unwrap(),
        };
        let author = Author::Resolved("susan".into());

        let response = GetPostResponse {
            post: Some(post(&stored, Some(&author))),
        };

        let expected = [
            &b"\x0a\x43\x08\x07\x12\x03h\xc3\xa9"[..],
            b"\x1a\x0b\x08\x80\xe2\xcf\xaa\x06\x10\x80\x94\xef\x3a\x20\xac\x02",
            b"\x2a\x09\x08\x01\x12\x05susan",
            b"\x32\x0b\x08\x80\xe2\xcf\xaa\x06\x10\x80\x94\xef\x3a",
            b"\x3a\x123-6c96c44ad342a5d9",
        ];
        assert_eq!(response.encode_to_vec(), expected.concat());
    }
}
