//! Posts as they travel. The numbers are those of the fields in the contract.

use chassis::serving::pagination;
use proto::{
    Encoded, Fields,
    post::v1::{CommitPostsResponse, ListPostsResponse, author::State},
};

use super::decode::page_context;
use crate::{
    authors::Author,
    error::Error,
    post::{Post, View},
    store::{List, Page},
};

/// About how many bytes a post takes.
const POST: usize = 200;

/// An answer that has one post, which in all of them is the first field, with its author if
/// that is to be shown.
pub(super) fn one<M>(post: &Post, author: Option<&Author>) -> Encoded<M> {
    Encoded::new(POST, |fields| {
        fields.message(1, |fields| write(fields, post, author));
    })
}

/// What each of several changes made of its post.
pub(super) fn results(posts: &[Option<Post>]) -> Encoded<CommitPostsResponse> {
    Encoded::new(posts.len() * POST, |fields| {
        for post in posts {
            fields.message(1, |fields| {
                if let Some(post) = post {
                    fields.message(1, |fields| write(fields, post, None));
                }
            });
        }
    })
}

/// A page, with the authors of its posts in their order, if they are to be shown, and with the
/// token of the next one.
pub(super) fn page(
    list: &List,
    view: View,
    page: &Page,
    authors: &[Author],
) -> Result<Encoded<ListPostsResponse>, Error> {
    let Page {
        posts, next, total, ..
    } = page;
    let next_page_token = next
        .map(|cursor| pagination::encode(&page_context(list, view), &cursor))
        .transpose()
        .map_err(|error| Error::Corrupt(format!("a page token: {error}")))?;
    Ok(Encoded::new(posts.len() * POST, |fields| {
        for (at, post) in posts.iter().enumerate() {
            fields.message(1, |fields| write(fields, post, authors.get(at)));
        }
        fields.string(2, &next_page_token.unwrap_or_default());
        fields.optional_int64(3, *total);
    }))
}

/// The fields of a post.
fn write(fields: &mut Fields, post: &Post, author: Option<&Author>) {
    let Post {
        id,
        body,
        create_time,
        update_time,
        revision: _,
        author: author_id,
    } = post;
    fields.int64(1, *id);
    fields.string(2, body);
    fields.timestamp(3, *create_time);
    fields.int64(4, author_id.get());
    if let Some(author) = author {
        fields.message(5, |fields| write_author(fields, author));
    }
    fields.timestamp(6, *update_time);
    fields.string(7, post.etag().as_str());
}

/// The fields of an author.
fn write_author(fields: &mut Fields, author: &Author) {
    let (state, nickname) = match author {
        Author::Resolved(nickname) => (State::Resolved, &**nickname),
        // The post was there when it was read, and its foreign key is never broken: both
        // are gone by now.
        Author::Missing => (State::Deleted, ""),
        Author::Unavailable(last) => (State::Unavailable, last.as_deref().unwrap_or_default()),
    };
    fields.enumeration(1, state);
    fields.string(2, nickname);
}
