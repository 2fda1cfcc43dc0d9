//! The rows of `posts`, and their conversion to posts.

use chassis::database::time;

use crate::{
    error::Error,
    post::{AuthorId, Post},
};

/// A row of `posts`, with the types of PostgreSQL.
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) body: String,
    pub(super) create_time: i64,
    pub(super) update_time: i64,
    pub(super) revision: i64,
    pub(super) user_id: i64,
}

/// Returns the query for posts. `$tail` is the query after `from posts`.
macro_rules! select_posts {
    ($tail:tt $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            crate::store::postgres::row::Row,
            "select id, body, create_time, update_time, revision, user_id from posts " + $tail
            $(, $argument)*
        )
    };
}
pub(super) use select_posts;

impl TryFrom<Row> for Post {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.id,
            body: row.body.into(),
            create_time: time(row.create_time).map_err(Error::Corrupt)?,
            update_time: time(row.update_time).map_err(Error::Corrupt)?,
            revision: row.revision,
            author_id: AuthorId::parse(row.user_id).map_err(|error| {
                Error::Corrupt(format!("the author of post {}: {error}", row.id))
            })?,
        })
    }
}
