//! What a post is, and what may be asked about posts: types that are parsed once, at the
//! edge, and cannot be wrong afterwards.
//!
//! Nothing here knows how a post is stored or sent.

mod body;

use std::sync::Arc;

use chassis::serving::etag::Etag;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use self::body::Body;

/// A post.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// Positive, or 0 for a post that was only tried.
    pub id: i64,
    /// 1 to 140 code points in Normalization Form C.
    pub body: Arc<str>,
    /// To the microsecond; never earlier than that of a post with a lower id.
    pub create_time: DateTime<Utc>,
    /// To the microsecond.
    pub update_time: DateTime<Utc>,
    /// 1 at first, one more with every change.
    pub revision: i64,
    /// The id of the user who wrote it.
    // Saved responses and fingerprints of idempotency records have the name `author`.
    #[serde(rename = "author")]
    pub author_id: AuthorId,
}

impl Post {
    /// Tells this state of the post from every other one.
    #[must_use]
    pub fn etag(&self) -> Etag {
        Etag::from_revision(self.revision)
    }
}

/// How much of a post is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// What is stored.
    Basic,
    /// Its author, too.
    Full,
}

/// The id of a post that there may or may not be: 1 to `i64::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PostId(i64);

/// The id of an author that there may or may not be: 1 to `i64::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AuthorId(i64);

impl PostId {
    /// The id, if a post could have it.
    ///
    /// # Errors
    ///
    /// What is wrong with it, if it is not positive.
    pub fn parse(id: i64) -> Result<Self, String> {
        positive(id).map(Self)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }
}

impl AuthorId {
    /// The id, if an author could have it.
    ///
    /// # Errors
    ///
    /// What is wrong with it, if it is not positive.
    pub fn parse(id: i64) -> Result<Self, String> {
        positive(id).map(Self)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }
}

fn positive(id: i64) -> Result<i64, String> {
    if id > 0 {
        Ok(id)
    } else {
        Err(format!("{id} is no id; ids are positive"))
    }
}

/// A post to create.
#[derive(Clone, Debug, Serialize)]
pub struct NewPost {
    /// What it says.
    pub body: Body,
    /// The id of the user who wrote it.
    // Saved responses and fingerprints of idempotency records have the name `author`.
    #[serde(rename = "author")]
    pub author_id: AuthorId,
}

/// New values for some fields of a post.
#[derive(Clone, Debug, Serialize)]
pub struct PostUpdate {
    /// Which post.
    pub id: PostId,
    /// The state that the post must still be in.
    pub etag: Option<Etag>,
    /// What it will say.
    pub body: Body,
}

/// A post to delete.
#[derive(Clone, Debug, Serialize)]
pub struct PostDeletion {
    /// Which post.
    pub id: PostId,
    /// The state that the post must still be in.
    pub etag: Option<Etag>,
    /// Whether it is fine that there is no such post.
    pub allow_missing: bool,
}

/// One of several changes that are made together.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mutation {
    /// Creates a post.
    Create(NewPost),
    /// Changes one.
    Update(PostUpdate),
    /// Deletes one.
    Delete(PostDeletion),
}

impl Mutation {
    /// Whether it creates a post.
    #[must_use]
    pub fn creates(&self) -> bool {
        matches!(self, Self::Create(_))
    }
}

/// The order of a list. Creation times never fall as ids rise, so the ids decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The newest first.
    NewestFirst,
    /// The oldest first.
    OldestFirst,
}

impl Order {
    /// The order that a text names. An empty one means the newest first.
    ///
    /// # Errors
    ///
    /// What is not understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<_> = text.split_ascii_whitespace().collect();
        match words.as_slice() {
            [] | ["create_time" | "id", "desc"] => Ok(Self::NewestFirst),
            ["create_time" | "id"] => Ok(Self::OldestFirst),
            _ => Err(format!(
                "`{text}` is no order of posts; there are create_time and id, each with an \
                 optional ` desc`"
            )),
        }
    }
}

/// Which posts are purged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurgeFilter {
    /// All of them.
    All,
    /// Those of one author.
    Author(AuthorId),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_order_is_the_newest_first() {
        for text in ["", "create_time desc", "id desc", "  id   desc "] {
            assert_eq!(Order::parse(text), Ok(Order::NewestFirst), "{text}");
        }
    }

    #[test]
    fn an_order_without_a_direction_ascends() {
        for text in ["create_time", "id"] {
            assert_eq!(Order::parse(text), Ok(Order::OldestFirst), "{text}");
        }
    }

    #[test]
    fn what_is_no_order_is_refused_and_named() {
        for text in [
            "body",
            "id asc",
            "id desc desc",
            "id; drop table posts",
            "desc",
            "id,",
        ] {
            let refusal = Order::parse(text).unwrap_err();
            assert!(refusal.contains(text), "{refusal}");
        }
    }
}
