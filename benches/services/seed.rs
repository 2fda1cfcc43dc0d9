//! A database as it is when the bench begins: a thousand authors and their posts.

use std::{path::Path, time::Duration};

use chassis::database::settings::DatabaseUrl;
use chrono::Utc;
use migrator::{Migrator, Run};
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};

/// How many authors there are.
pub const AUTHORS: u64 = 1000;

/// Makes a database with `posts` posts of 70 characters. Neighbours have different authors:
/// each page of 50 has 50 of them.
pub async fn fill(path: &Path, posts: u64) {
    let url = DatabaseUrl::from_path(path);
    let upgrade = Run {
        no_backup: true,
        ..Run::upgrade()
    };
    Migrator::new(&url, Duration::from_secs(60))
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
    // A microsecond for each post, and the last one now.
    let begun = Utc::now().timestamp_micros() - posts - 1_000_000;
    let authors = i64::try_from(AUTHORS).unwrap();
    sqlx::query(
        "with recursive n (i) as (select 1 union all select i + 1 from n where i < ?2)
         insert into users
             (nickname, nickname_key, email, email_key, role, create_time, update_time, revision)
         select 'author' || i, 'author' || i, 'author' || i || '@example.com',
             'author' || i || '@example.com', 0, ?1 + i, ?1 + i, 1
         from n",
    )
    .bind(begun - authors)
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
    .bind(begun)
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
