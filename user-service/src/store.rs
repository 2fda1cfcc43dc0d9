//! The store of users: the lists that it reads, and where it keeps them.
//!
//! It knows no SQL and no gRPC. Each engine has a module of its own below this one.

pub mod sqlite;

use chassis::serving::pagination::PageSize;
use serde::{Deserialize, Serialize};

use crate::user::{Field, Order, Role, User};

/// Which users to list, and in which order.
#[derive(Clone, Debug)]
pub struct List {
    /// What comes first.
    pub order: Order,
    /// Only users of this role.
    pub role: Option<Role>,
    /// How many.
    pub size: PageSize,
    /// The end of the page before.
    pub after: Option<Cursor>,
    /// Whether to count the users of all pages.
    pub count: bool,
}

/// Where a page ends: the key of its last user in the order of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cursor {
    /// In the order of the ids.
    Id(i64),
    /// In the order of a text.
    Text(String),
}

/// A page of users.
#[derive(Clone, Debug)]
pub struct Page {
    /// The users, in order.
    pub users: Vec<User>,
    /// Where the next page begins, if there is one.
    pub next: Option<Cursor>,
    /// How many users there are on all pages, if it was asked for.
    pub total: Option<i64>,
}

impl Cursor {
    /// Whether it can be the end of a page in this order.
    #[must_use]
    pub fn fits(&self, order: &Order) -> bool {
        let by_id = matches!(order.decisive().0, Field::Id | Field::CreateTime);
        by_id == matches!(self, Self::Id(_))
    }
}
