//! Finding users. Every list is read by key, never by offset: a user who is created or
//! deleted meanwhile shifts no page.

use std::collections::HashMap;

use chassis::database::sqlite::{Source, json};
use sqlx::{Connection, SqliteConnection};

use super::{
    Store,
    row::{Row, role, select_users},
};
use crate::{
    error::Error,
    store::{Cursor, List, Page},
    user::{Field, Key, Role, Selection, User, UserId},
};

/// Beyond every nickname and address: a code point that none of them can have.
const BEYOND_TEXT: &str = "\u{10FFFF}";

/// How many ids a preview of a purge names at most.
const SAMPLE: i64 = 100;

impl Store {
    /// The user with this id.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub async fn get(&self, id: UserId) -> Result<User, Error> {
        find(self.database.source(1), id)
            .await?
            .ok_or(Error::NotFound(id.get()))?
            .try_into()
    }

    /// The user with this nickname or address, in any letter case.
    ///
    /// # Errors
    ///
    /// [`Error::KeyNotFound`].
    pub async fn lookup(&self, key: &Key) -> Result<User, Error> {
        let mut source = self.database.source(1);
        let (rows, name) = match key {
            Key::Nickname(nickname) => {
                let key = nickname.key();
                let rows = select_users!(&mut source, "users where nickname_key = ?1", key);
                (rows, "nickname")
            }
            Key::Email(email) => {
                let key = email.key();
                let rows = select_users!(&mut source, "users where email_key = ?1", key);
                (rows, "email address")
            }
        };
        let row = rows?.into_iter().next();
        row.ok_or(Error::KeyNotFound(name))?.try_into()
    }

    /// The users with these ids, in their order, and nothing in the place of one who is not
    /// there: all as they are at one moment.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn batch_get(&self, ids: &[UserId]) -> Result<Vec<Option<User>>, Error> {
        let mut source = self.database.source(ids.len());
        let asked = json(&ids)?;
        // One statement, and so one snapshot.
        let rows = select_users!(
            &mut source,
            "json_each(?1) as asked join users on users.id = asked.value",
            &asked
        )?;
        let mut found = HashMap::with_capacity(rows.len());
        for row in rows {
            found.insert(row.id, User::try_from(row)?);
        }
        Ok(ids.iter().map(|id| found.remove(&id.get())).collect())
    }

    /// A page of users.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn list(&self, list: &List) -> Result<Page, Error> {
        if !list.count {
            let source = match list.role {
                None => self.database.source(list.size.rows()),
                // They may be few, and far apart.
                Some(_) => Source::Many(&self.database),
            };
            return Page::new(page(source, list).await?, list, None);
        }
        // The page and the count are of one snapshot.
        let mut reader = self.database.reader().await?;
        let mut snapshot = reader.begin().await?;
        let rows = page(Source::Connection(&mut snapshot), list).await?;
        let selection = list.role.map_or(Selection::All, Selection::Role);
        let total = count(&mut snapshot, selection).await?;
        snapshot.rollback().await?;
        Page::new(rows, list, Some(total))
    }

    /// How many users a purge would delete, and the lowest ids among them, at most 100.
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
}

impl Page {
    fn new(mut rows: Vec<Row>, list: &List, total: Option<i64>) -> Result<Self, Error> {
        let more = list.size.cut(&mut rows);
        let next = rows
            .last()
            .filter(|_| more)
            .map(|last| Cursor::at(last, list.order.decisive().0));
        let users = rows
            .into_iter()
            .map(User::try_from)
            .collect::<Result<_, _>>()?;
        Ok(Self { users, next, total })
    }
}

impl Cursor {
    /// The end of a page whose last user is `row`.
    fn at(row: &Row, field: Field) -> Self {
        match field {
            // Creation times rise with the ids.
            Field::Id | Field::CreateTime => Self::Id(row.id),
            Field::Nickname => Self::Text(row.nickname_key.clone()),
            Field::Email => Self::Text(row.email_key.clone()),
        }
    }
}

/// The row of one user.
pub(super) async fn find(mut source: Source<'_>, id: UserId) -> Result<Option<Row>, sqlx::Error> {
    let id = id.get();
    let rows = select_users!(&mut source, "users where id = ?1", id)?;
    Ok(rows.into_iter().next())
}

/// The rows of a page, and of one user more if there is another page. Each order has its
/// index, and the administrators, who are few, have indexes of their own.
async fn page(mut source: Source<'_>, list: &List) -> Result<Vec<Row>, sqlx::Error> {
    let source = &mut source;
    let (field, descending) = list.order.decisive();
    let limit = list.size.limit();
    let role = list.role.map(role);
    let admins = list.role == Some(Role::Admin);
    let (id, text) = match &list.after {
        Some(Cursor::Id(id)) => (*id, ""),
        Some(Cursor::Text(text)) => (0, text.as_str()),
        // Before the first of them all.
        None if descending => (i64::MAX, BEYOND_TEXT),
        None => (0, ""),
    };
    macro_rules! page {
        ($after:expr, $others:tt, $admins:tt) => {
            if admins {
                select_users!(source, $admins, $after, limit)
            } else {
                select_users!(source, $others, $after, role, limit)
            }
        };
    }
    match (field, descending) {
        (Field::Id | Field::CreateTime, false) => page!(
            id,
            "users where id > ?1 and (?2 is null or role = ?2) order by id limit ?3",
            "users where id > ?1 and role = 1 order by id limit ?2"
        ),
        (Field::Id | Field::CreateTime, true) => page!(
            id,
            "users where id < ?1 and (?2 is null or role = ?2) order by id desc limit ?3",
            "users where id < ?1 and role = 1 order by id desc limit ?2"
        ),
        (Field::Nickname, false) => page!(
            text,
            "users where nickname_key > ?1 and (?2 is null or role = ?2)
            order by nickname_key limit ?3",
            "users where nickname_key > ?1 and role = 1 order by nickname_key limit ?2"
        ),
        (Field::Nickname, true) => page!(
            text,
            "users where nickname_key < ?1 and (?2 is null or role = ?2)
            order by nickname_key desc limit ?3",
            "users where nickname_key < ?1 and role = 1 order by nickname_key desc limit ?2"
        ),
        (Field::Email, false) => page!(
            text,
            "users where email_key > ?1 and (?2 is null or role = ?2)
            order by email_key limit ?3",
            "users where email_key > ?1 and role = 1 order by email_key limit ?2"
        ),
        (Field::Email, true) => page!(
            text,
            "users where email_key < ?1 and (?2 is null or role = ?2)
            order by email_key desc limit ?3",
            "users where email_key < ?1 and role = 1 order by email_key desc limit ?2"
        ),
    }
}

async fn count(
    connection: &mut SqliteConnection,
    selection: Selection,
) -> Result<i64, sqlx::Error> {
    match selection {
        Selection::All => sqlx::query_scalar!(r#"select count(*) as "count!: i64" from users"#),
        Selection::Role(Role::User) => {
            sqlx::query_scalar!(r#"select count(*) as "count!: i64" from users where role = 0"#)
        }
        Selection::Role(Role::Admin) => {
            sqlx::query_scalar!(r#"select count(*) as "count!: i64" from users where role = 1"#)
        }
    }
    .fetch_one(connection)
    .await
}

async fn sample(
    connection: &mut SqliteConnection,
    selection: Selection,
) -> Result<Vec<i64>, sqlx::Error> {
    match selection {
        Selection::All => {
            sqlx::query_scalar!(
                r#"select id as "id!" from users order by id limit ?1"#,
                SAMPLE
            )
            .fetch_all(connection)
            .await
        }
        Selection::Role(Role::User) => {
            sqlx::query_scalar!(
                r#"select id as "id!" from users where role = 0 order by id limit ?1"#,
                SAMPLE
            )
            .fetch_all(connection)
            .await
        }
        Selection::Role(Role::Admin) => {
            sqlx::query_scalar!(
                r#"select id as "id!" from users where role = 1 order by id limit ?1"#,
                SAMPLE
            )
            .fetch_all(connection)
            .await
        }
    }
}
