//! The store of posts: the lists that it reads, and where it keeps them.
//!
//! It knows no SQL and no gRPC. Each engine has a module of its own below this one.

mod cached_response;
pub mod sqlite;

use chassis::serving::pagination::PageSize;

pub use self::cached_response::CachedResponse;

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
    /// The encoded response with this page, which callers of the same page share.
    pub response: CachedResponse,
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
