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
    store::{ListQuery, Page},
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
    list: &ListQuery,
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
    fn a_post_has_the_bytes_that_the_contract_says() {
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
            &b"\x0a\x32\x08\x07\x12\x03h\xc3\xa9"[..],
            b"\x1a\x0b\x08\x80\xe2\xcf\xaa\x06\x10\x80\x94\xef\x3a\x20\xac\x02",
            b"\x2a\x09\x08\x01\x12\x05susan",
            b"\x32\x0b\x08\x80\xe2\xcf\xaa\x06\x10\x80\x94\xef\x3a",
            b"\x3a\x013",
        ];
        assert_eq!(response.encode_to_vec(), expected.concat());
    }
}
