//! The rows of `posts`, and their conversion to posts.

use std::sync::Arc;

use chassis::database::sqlite::{RowCursor, WrongType, time};

use crate::{
    error::Error,
    post::{AuthorId, Post},
};

/// A row of `posts`, with the types of SQLite.
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) body: Arc<str>,
    pub(super) create_time: i64,
    pub(super) update_time: i64,
    pub(super) revision: i64,
    pub(super) user_id: i64,
}

impl Row {
    /// Reads a row whose columns are in the order of [`select_posts`].
    pub(super) fn read(columns: &mut RowCursor<'_>) -> Result<Self, WrongType> {
        Ok(Self {
            id: columns.integer()?,
            body: columns.text()?,
            create_time: columns.integer()?,
            update_time: columns.integer()?,
            revision: columns.integer()?,
            user_id: columns.integer()?,
        })
    }
}

/// Reads posts from a source. `$tail` is the query after `from posts`.
macro_rules! select_posts {
    ($source:expr, $tail:tt $(, $argument:expr)* $(,)?) => {
        chassis::database::select!(
            $source,
            crate::store::sqlite::row::Row,
            r#"select id as "id!", body, create_time, update_time, revision, user_id
                    from posts "# + $tail
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
            body: row.body,
            create_time: time(row.create_time).map_err(Error::Corrupt)?,
            update_time: time(row.update_time).map_err(Error::Corrupt)?,
            revision: row.revision,
            author_id: AuthorId::parse(row.user_id).map_err(|error| {
                Error::Corrupt(format!("the author of post {}: {error}", row.id))
            })?,
        })
    }
}
