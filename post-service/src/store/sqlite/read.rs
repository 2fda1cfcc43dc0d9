//! Finding posts. Every list is read by key, never by offset: a post that is created or
//! deleted meanwhile shifts no page.

use std::sync::Arc;

use chassis::{database::sqlite::Source, serving::pagination::PageSize};
use sqlx::{Connection, SqliteConnection};

use super::{
    Store,
    row::{Row, posts, select_posts},
};
use crate::{
    error::Error,
    post::{AuthorId, Order, Post, PostId, Selection},
    store::{CachedResponse, List, News, Page},
};

/// How many ids a preview of a purge names at most.
const SAMPLE: i64 = 100;

/// How many posts are read at once for those who watch.
const NEWS: usize = 200;

impl Store {
    /// The post with this id.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub async fn get(&self, id: PostId) -> Result<Post, Error> {
        find(self.database.source(1), id)
            .await?
            .ok_or(Error::NotFound(id.get()))?
            .try_into()
    }

    /// A page of posts.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn list(&self, list: &List) -> Result<Arc<Page>, Error> {
        if list.count {
            return self.list_and_count(list).await.map(Arc::new);
        }
        let source = self.database.source(list.size.rows());
        let wanted = self.pages.wants(list);
        let version = wanted.then(|| source.version()).flatten();
        if let Some(page) = version.and_then(|version| self.pages.get(list, version)) {
            return Ok(page);
        }
        let page = Arc::new(Page::new(page(source, list).await?, list, None)?);
        if let Some(version) = version {
            self.pages.keep(list, version, &page);
        }
        Ok(page)
    }

    async fn list_and_count(&self, list: &List) -> Result<Page, Error> {
        // The page and the count are of one snapshot.
        let mut reader = self.database.reader().await?;
        let mut snapshot = reader.begin().await?;
        let rows = page(Source::Connection(&mut snapshot), list).await?;
        let selection = list.author.map_or(Selection::All, Selection::Author);
        let total = count(&mut snapshot, selection).await?;
        snapshot.rollback().await?;
        Page::new(rows, list, Some(total))
    }

    /// How many posts a purge would delete, and the lowest ids among them, at most 100.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn preview_purge(&self, selection: Selection) -> Result<(i64, Vec<i64>), Error> {
        let mut reader = self.database.reader().await?;
        let mut snapshot = reader.begin().await?;
        let count = count(&mut snapshot, selection).await?;
        let sample = sample(&mut snapshot, selection).await?;
        snapshot.rollback().await?;
        Ok((count, sample))
    }

    /// The highest id of all posts: 0 if there is none.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn newest(&self) -> Result<i64, Error> {
        let mut reader = self.database.reader().await?;
        Ok(newest(&mut reader).await?)
    }

    /// The first posts with a higher id than `after`, of one author if one is given.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn news(&self, after: i64, author: Option<AuthorId>) -> Result<News, Error> {
        let list = List {
            order: Order::OldestFirst,
            author,
            size: PageSize::of(NEWS),
            after: Some(after),
            count: false,
        };
        let mut reader = self.database.reader().await?;
        // Ids are given out in the order of the commits, so a snapshot that has one id has
        // all lower ones.
        let mut snapshot = reader.begin().await?;
        let rows = page(Source::Connection(&mut snapshot), &list).await?;
        let newest = newest(&mut snapshot).await?;
        snapshot.rollback().await?;
        let page = Page::new(rows, &list, None)?;
        Ok(News {
            until: page.next.unwrap_or(newest),
            more: page.next.is_some(),
            posts: page.posts,
        })
    }
}

impl Page {
    fn new(mut rows: Vec<Row>, list: &List, total: Option<i64>) -> Result<Self, Error> {
        let more = list.size.cut(&mut rows);
        Ok(Self {
            next: rows.last().filter(|_| more).map(|last| last.id),
            posts: posts(rows)?,
            total,
            response: CachedResponse::default(),
        })
    }
}

/// The row of one post.
pub(super) async fn find(mut source: Source<'_>, id: PostId) -> Result<Option<Row>, sqlx::Error> {
    let id = id.get();
    let rows = select_posts!(&mut source, "where id = ?1", id)?;
    Ok(rows.into_iter().next())
}

/// The rows of a page, and of one post more if there is another page.
async fn page(mut source: Source<'_>, list: &List) -> Result<Vec<Row>, sqlx::Error> {
    let source = &mut source;
    let limit = list.size.limit();
    let after = list.after.unwrap_or(match list.order {
        Order::NewestFirst => i64::MAX,
        Order::OldestFirst => 0,
    });
    match (list.order, list.author.map(AuthorId::get)) {
        (Order::NewestFirst, None) => select_posts!(
            source,
            "where id < ?1 order by id desc limit ?2",
            after,
            limit
        ),
        (Order::OldestFirst, None) => {
            select_posts!(source, "where id > ?1 order by id limit ?2", after, limit)
        }
        (Order::NewestFirst, Some(author)) => select_posts!(
            source,
            "where user_id = ?1 and id < ?2 order by id desc limit ?3",
            author,
            after,
            limit
        ),
        (Order::OldestFirst, Some(author)) => select_posts!(
            source,
            "where user_id = ?1 and id > ?2 order by id limit ?3",
            author,
            after,
            limit
        ),
    }
}

async fn newest(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(r#"select coalesce(max(id), 0) as "newest!: i64" from posts"#)
        .fetch_one(connection)
        .await
}

async fn count(
    connection: &mut SqliteConnection,
    selection: Selection,
) -> Result<i64, sqlx::Error> {
    match selection {
        Selection::All => {
            sqlx::query_scalar!(r#"select count(*) as "count!: i64" from posts"#)
                .fetch_one(connection)
                .await
        }
        Selection::Author(author) => {
            let author = author.get();
            sqlx::query_scalar!(
                r#"select count(*) as "count!: i64" from posts where user_id = ?1"#,
                author
            )
            .fetch_one(connection)
            .await
        }
    }
}

async fn sample(
    connection: &mut SqliteConnection,
    selection: Selection,
) -> Result<Vec<i64>, sqlx::Error> {
    match selection {
        Selection::All => {
            sqlx::query_scalar!(
                r#"select id as "id!" from posts order by id limit ?1"#,
                SAMPLE
            )
            .fetch_all(connection)
            .await
        }
        Selection::Author(author) => {
            let author = author.get();
            sqlx::query_scalar!(
                r#"select id as "id!" from posts where user_id = ?1 order by id limit ?2"#,
                author,
                SAMPLE
            )
            .fetch_all(connection)
            .await
        }
    }
}
