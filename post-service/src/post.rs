//! The domain types of posts. They are parsed once, at the edge, and are always valid.
//!
//! They do not know how a post is stored or sent.

mod body;

use std::sync::Arc;

use chassis::serving::etag::Etag;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use self::body::Body;

/// A post.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// Positive, or 0 for the post of a dry run.
    pub id: i64,
    /// 1 to 140 code points in Normalization Form C.
    pub body: Arc<str>,
    /// In whole microseconds, and never earlier than that of a post with a lower id.
    pub create_time: DateTime<Utc>,
    /// In whole microseconds.
    pub update_time: DateTime<Utc>,
    /// 1 for a new post, and one more after each update.
    pub revision: i64,
    /// The id of the user who wrote it.
    // Saved responses and fingerprints of idempotency records have the name `author`.
    #[serde(rename = "author")]
    pub author_id: AuthorId,
}

impl Post {
    /// Returns the etag of this state of the post.
    #[must_use]
    pub fn etag(&self) -> Etag {
        let content = [self.body.as_bytes(), &self.author_id.get().to_le_bytes()];
        Etag::new(self.revision, &content)
    }
}

/// The fields of a post that a response has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// All stored fields.
    Basic,
    /// All stored fields and the author.
    Full,
}

/// The id of a post, 1 to `i64::MAX`. The post need not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PostId(i64);

/// The id of the user who wrote a post, 1 to `i64::MAX`. The user need not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AuthorId(i64);

impl PostId {
    /// Parses the id of a post.
    ///
    /// # Errors
    ///
    /// A description for the client if the id is not positive.
    pub fn parse(id: i64) -> Result<Self, String> {
        positive(id).map(Self)
    }

    /// Returns the positive id.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }
}

impl AuthorId {
    /// Parses the id of an author.
    ///
    /// # Errors
    ///
    /// A description for the client if the id is not positive.
    pub fn parse(id: i64) -> Result<Self, String> {
        positive(id).map(Self)
    }

    /// Returns the positive id.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }
}

fn positive(id: i64) -> Result<i64, String> {
    if id > 0 {
        Ok(id)
    } else {
        Err(format!("{id} is not a valid id; ids are positive"))
    }
}

/// A post to create.
#[derive(Clone, Debug, Serialize)]
pub struct NewPost {
    /// The body.
    pub body: Body,
    /// The id of the user who wrote it.
    // Saved responses and fingerprints of idempotency records have the name `author`.
    #[serde(rename = "author")]
    pub author_id: AuthorId,
}

/// New values for the updatable fields of a post.
#[derive(Clone, Debug, Serialize)]
pub struct PostUpdate {
    /// The id of the post.
    pub id: PostId,
    /// The etag that the stored post must have, if one is given.
    pub etag: Option<Etag>,
    /// The new body.
    pub body: Body,
}

/// A post to delete.
#[derive(Clone, Debug, Serialize)]
pub struct PostDeletion {
    /// The id of the post.
    pub id: PostId,
    /// The etag that the stored post must have, if one is given.
    pub etag: Option<Etag>,
    /// `true` if the deletion of a missing post succeeds.
    pub allow_missing: bool,
}

/// A change in a commit.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mutation {
    /// Creates a post.
    Create(NewPost),
    /// Updates a post.
    Update(PostUpdate),
    /// Deletes a post.
    Delete(PostDeletion),
}

impl Mutation {
    /// Returns whether it creates a post.
    #[must_use]
    pub fn creates(&self) -> bool {
        matches!(self, Self::Create(_))
    }
}

/// The order of a list. The order by creation time is the order by id, since creation times never
/// fall as ids rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Newest posts first.
    NewestFirst,
    /// Oldest posts first.
    OldestFirst,
}

impl Order {
    /// Parses the `order_by` of a request. An empty text means newest first.
    ///
    /// # Errors
    ///
    /// A description for the client if the text names no supported order.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<_> = text.split_ascii_whitespace().collect();
        match words.as_slice() {
            [] | ["create_time" | "id", "desc"] => Ok(Self::NewestFirst),
            ["create_time" | "id"] => Ok(Self::OldestFirst),
            _ => Err(format!(
                "cannot order by `{text}`; write create_time or id, each with an optional \
                 ` desc`"
            )),
        }
    }
}

/// The posts that a purge deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurgeFilter {
    /// All posts.
    All,
    /// The posts of one author.
    Author(AuthorId),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_order_is_newest_first() {
        for text in ["", "create_time desc", "id desc", "  id   desc "] {
            assert_eq!(Order::parse(text), Ok(Order::NewestFirst), "{text}");
        }
    }

    #[test]
    fn an_order_without_a_direction_is_oldest_first() {
        for text in ["create_time", "id"] {
            assert_eq!(Order::parse(text), Ok(Order::OldestFirst), "{text}");
        }
    }

    #[test]
    fn an_unknown_order_is_rejected_by_name() {
        for text in [
            "body",
            "id asc",
            "id desc desc",
            "id; drop table posts",
            "desc",
            "id,",
        ] {
            let rejection = Order::parse(text).unwrap_err();
            assert!(rejection.contains(text), "{rejection}");
        }
    }
}
