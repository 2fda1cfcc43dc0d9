//! The store of posts: the lists that it reads, and where it keeps them.
//!
//! It knows no SQL and no gRPC. Each engine has a module of its own below this one.

pub mod sqlite;

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use chassis::serving::pagination::PageSize;
use tokio::time::Instant;

use crate::post::{AuthorId, Order, Post};

/// Which posts to list, and in which order.
#[derive(Clone, Debug)]
pub struct List {
    /// What comes first.
    pub order: Order,
    /// Only posts of this author.
    pub author: Option<AuthorId>,
    /// How many.
    pub size: PageSize,
    /// The id of the last post of the page before.
    pub after: Option<i64>,
    /// Whether to count the posts of all pages.
    pub count: bool,
}

impl List {
    /// Whether it is the page that most ask for: the first one, and not what is on the others.
    #[must_use]
    pub fn is_first_page(&self) -> bool {
        self.after.is_none() && !self.count
    }
}

/// A page of posts.
#[derive(Debug)]
pub struct Page {
    /// The posts, in order.
    pub posts: Vec<Post>,
    /// Where the next page begins, if there is one.
    pub next: Option<i64>,
    /// How many posts there are on all pages, if it was asked for.
    pub total: Option<i64>,
    /// What was sent of it, of which nothing is known here, and until when it may be sent again.
    answer: Mutex<Option<(Bytes, Instant)>>,
}

/// The posts that came after some id.
#[derive(Clone, Debug)]
pub struct News {
    /// In the order of their ids.
    pub posts: Vec<Post>,
    /// Everything up to this id is in `posts`, or came before. It is lower than what was asked
    /// after if the newest posts are no longer there, as after a restore.
    pub until: i64,
    /// Whether there are more.
    pub more: bool,
}

impl News {
    /// Nothing new, up to this id.
    #[must_use]
    pub fn none(until: i64) -> Self {
        Self {
            posts: Vec::new(),
            until,
            more: false,
        }
    }
}

impl Page {
    /// The answer that was kept with it, if it still is one.
    #[must_use]
    pub fn answer(&self, now: Instant) -> Option<Bytes> {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        let (bytes, until) = answer.as_ref()?;
        (now < *until).then(|| bytes.clone())
    }

    /// Keeps an answer with it, until a moment at the latest.
    pub fn keep_answer(&self, bytes: Bytes, until: Instant) {
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        *answer = Some((bytes, until));
    }
}
