//! Fills a database for the bench: 1000 authors and their posts.

use std::{path::Path, time::Duration};

use chassis::database::settings::DatabaseUrl;
use chrono::Utc;
use migrator::{Migrator, Run};
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};

/// Number of authors.
pub const AUTHORS: u64 = 1000;

/// Creates a database with `posts` posts of 70 characters. Adjacent posts have different authors: a
/// page of 50 posts has 50 authors.
pub async fn fill(path: &Path, posts: u64) {
    let url = DatabaseUrl::from_path(path);
    let upgrade = Run {
        no_backup: true,
        ..Run::upgrade()
    };
    Migrator::new(&url, Duration::from_mins(1))
        .unwrap()
        .run(upgrade)
        .await
        .unwrap();
    let mut connection = SqliteConnectOptions::new()
        .filename(path)
        .disable_statement_logging()
        .connect()
        .await
        .unwrap();
    let posts = i64::try_from(posts).unwrap();
    // Creation times are 1 µs apart and end 1 s ago.
    let start = Utc::now().timestamp_micros() - posts - 1_000_000;
    let authors = i64::try_from(AUTHORS).unwrap();
    sqlx::query(
        "with recursive n (i) as (select 1 union all select i + 1 from n where i < ?2)
         insert into users
             (nickname, nickname_key, email, email_key, role, create_time, update_time, revision)
         select 'author' || i, 'author' || i, 'author' || i || '@example.com',
             'author' || i || '@example.com', 0, ?1 + i, ?1 + i, 1
         from n",
    )
    .bind(start - authors)
    .bind(authors)
    .execute(&mut connection)
    .await
    .unwrap();
    sqlx::query(
        "with recursive n (i) as (select 1 union all select i + 1 from n where i < ?2)
         insert into posts (body, create_time, update_time, revision, user_id)
         select 'the post number ' || i || ' says ' || hex(randomblob(22)), ?1 + i, ?1 + i, 1,
             1 + i * 7919 % ?3
         from n",
    )
    .bind(start)
    .bind(posts)
    .bind(authors)
    .execute(&mut connection)
    .await
    .unwrap();
    sqlx::query("pragma wal_checkpoint(truncate)")
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}
