//! Measures the migrator on a database of a million posts, and the longest wait of a concurrent
//! writer. Prints one table.
//!
//! ```console
//! $ cargo bench -p migrator
//! $ POSTS=200000 ROUNDS=5 cargo bench -p migrator
//! ```
//!
//! Each figure is the median of the rounds. Machines are shared and disks differ, so the table also
//! shows its ratio to a plain copy of the file in the same round.

#![expect(clippy::unwrap_used, reason = "a failed measurement must stop the run")]

use std::{
    future::Future,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use database::{
    AccessPolicy, Atomicity, Error, Lifecycle, Requirements,
    settings::{DatabaseSettings, DatabaseUrl},
    sqlite::Database,
};
use migrator::{Migrations, Migrator, Run};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const CREATED: [(&str, &str, &str); 4] = [
    (
        "user-service",
        "0001_create_users.up.sql",
        include_str!("../../user-service/migrations/0001_create_users.up.sql"),
    ),
    (
        "user-service",
        "0001_create_users.down.sql",
        include_str!("../../user-service/migrations/0001_create_users.down.sql"),
    ),
    (
        "post-service",
        "0002_create_posts.up.sql",
        include_str!("../../post-service/migrations/0002_create_posts.up.sql"),
    ),
    (
        "post-service",
        "0002_create_posts.down.sql",
        include_str!("../../post-service/migrations/0002_create_posts.down.sql"),
    ),
];

/// Builds the script that rebuilds the table with another condition.
macro_rules! rebuild {
    ($condition:literal) => {
        concat!(
            "create table new_posts (
                id integer primary key autoincrement,
                body text not null check (length(body) ",
            $condition,
            "),
                create_time integer not null,
                update_time integer not null check (update_time >= create_time),
                revision integer not null check (revision >= 1),
                user_id integer not null references users (id) on delete restrict
            ) strict;
            insert into new_posts (id, body, create_time, update_time, revision, user_id)
            select id, body, create_time, update_time, revision, user_id
            from posts;
            delete from sqlite_sequence where name = 'new_posts';
            insert into sqlite_sequence (name, seq)
            select 'new_posts', seq from sqlite_sequence where name = 'posts';
            drop table posts;
            alter table new_posts rename to posts;
            create index posts_by_user on posts (user_id, id);"
        )
    };
}

/// Adds a column, which SQLite does in place.
const ADD: (&str, &str) = (
    "alter table posts add column place text not null default '' check (length(place) <= 60);",
    "alter table posts drop column place;",
);

/// Changes a condition, which rebuilds the table.
const REBUILD: (&str, &str) = (rebuild!("between 1 and 280"), rebuild!("between 1 and 140"));

/// The requirements of the concurrent writer.
static REQUIREMENTS: Requirements = Requirements {
    access: &AccessPolicy {
        owned_tables: &["posts"],
        readable_columns: &[("users", "id")],
    },
    min_schema_version: 2,
    statements: Vec::new,
};

/// The measurement of one operation.
#[derive(Clone, Copy, Debug)]
struct Measured {
    took: Duration,
    /// The longest wait of a concurrent write.
    waited: Duration,
    /// Number of failed concurrent writes.
    failed: u64,
}

#[tokio::main]
async fn main() {
    let posts = number("POSTS", 1_000_000);
    let rounds = number("ROUNDS", 3);
    let folder = TempDir::new_in(std::env::var_os("FOLDER").unwrap_or_else(|| ".".into())).unwrap();
    let path = folder.path().join("microblog.db");
    let url = DatabaseUrl::from_path(&path);
    fill(&url, &path, posts).await;
    let bytes = std::fs::metadata(&path).unwrap().len();
    println!("{posts} posts, {} MB, {rounds} rounds\n", bytes / 1_000_000);

    let mut rows: Vec<(&str, Vec<(Measured, f64)>)> = Vec::new();
    for _ in 0..rounds {
        let copy = time_copy(&path, &folder.path().join("copy.db"));
        for (at, (name, measured)) in round(&url, &path).await.into_iter().enumerate() {
            if rows.len() == at {
                rows.push((name, Vec::new()));
            }
            let ratio = measured.took.as_secs_f64() / copy.as_secs_f64();
            rows[at].1.push((measured, ratio));
        }
        println!("a plain copy of the file: {} ms", copy.as_millis());
    }

    println!(
        "\n| operation | ms | times a plain copy | longest wait of a write, ms | failed writes |"
    );
    println!("|---|---|---|---|---|");
    for (name, measured) in rows {
        let took = median(measured.iter().map(|(m, _)| m.took.as_secs_f64() * 1e3));
        let ratio = median(measured.iter().map(|(_, ratio)| *ratio));
        let waited = median(measured.iter().map(|(m, _)| m.waited.as_secs_f64() * 1e3));
        let failed: u64 = measured.iter().map(|(m, _)| m.failed).sum();
        println!("| {name} | {took:.0} | {ratio:.1} | {waited:.0} | {failed} |");
    }
}

fn number(variable: &str, default: u64) -> u64 {
    let value = std::env::var(variable).ok();
    value.map_or(default, |value| value.parse().unwrap())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Returns a migrator that creates the two tables and applies an optional change.
fn migrator(url: &DatabaseUrl, change: Option<(&str, &str)>) -> Migrator {
    let change = change.into_iter().flat_map(|(up, down)| {
        [
            ("post-service", "0003_change.up.sql", up),
            ("post-service", "0003_change.down.sql", down),
        ]
    });
    let migrations = Migrations::from_files(CREATED.into_iter().chain(change)).unwrap();
    Migrator::with_migrations(url, Duration::from_mins(1), migrations)
}

/// Creates 1000 users, and posts of 70 characters.
async fn fill(url: &DatabaseUrl, path: &Path, posts: u64) {
    migrator(url, None).run(Run::upgrade()).await.unwrap();
    let mut connection = SqliteConnectOptions::new()
        .filename(path)
        .disable_statement_logging()
        .connect()
        .await
        .unwrap();
    let script = format!(
        "begin;
         with recursive n (i) as (select 1 union all select i + 1 from n where i < 1000)
         insert into users (nickname, nickname_key, email, email_key, role, create_time, update_time, revision)
         select 'user' || i, 'user' || i, i || '@example.com', i || '@example.com', 0, i, i, 1
         from n;
         with recursive n (i) as (select 1 union all select i + 1 from n where i < {posts})
         insert into posts (body, create_time, update_time, revision, user_id)
         select hex(randomblob(35)), i, i, 1, 1 + i % 1000
         from n;
         commit;
         pragma wal_checkpoint(truncate);"
    );
    sqlx::raw_sql(AssertSqlSafe(script))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

/// Returns the duration of a plain copy of the file, including its sync to disk.
fn time_copy(path: &Path, copy: &Path) -> Duration {
    let start = Instant::now();
    std::fs::copy(path, copy).unwrap();
    std::fs::File::open(copy).unwrap().sync_all().unwrap();
    let took = start.elapsed();
    std::fs::remove_file(copy).unwrap();
    took
}

/// Runs each operation once. The database has the initial schema and content afterwards.
async fn round(url: &DatabaseUrl, path: &Path) -> Vec<(&'static str, Measured)> {
    let bare = Run {
        no_backup: true,
        ..Run::upgrade()
    };
    let back = Run {
        allow_data_loss: true,
        no_backup: true,
        ..Run::downgrade()
    };
    let (plain, add, rebuild) = (
        migrator(url, None),
        migrator(url, Some(ADD)),
        migrator(url, Some(REBUILD)),
    );
    let file = path.with_file_name("backup.db");
    let mut rows = Vec::new();
    rows.push(("backup", measure(url, plain.back_up(Some(&file))).await));
    rows.push(("add a column", measure(url, add.run(bare)).await));
    rows.push(("drop it again", measure(url, add.run(back)).await));
    rows.push((
        "add a column, with a backup",
        measure(url, add.run(Run::upgrade())).await,
    ));
    add.run(back).await.unwrap();
    rows.push(("rebuild the table", measure(url, rebuild.run(bare)).await));
    rebuild.run(back).await.unwrap();
    rows.push((
        "rebuild the table, with a backup",
        measure(url, rebuild.run(Run::upgrade())).await,
    ));
    rebuild.run(back).await.unwrap();
    rows.push(("restore", measure(url, plain.restore(&file)).await));
    std::fs::remove_file(file.with_extension("db.json")).unwrap();
    std::fs::remove_file(file).unwrap();
    rows
}

/// Runs an operation while a writer creates one post after the other.
async fn measure<T, E: std::fmt::Debug>(
    url: &DatabaseUrl,
    work: impl Future<Output = Result<T, E>>,
) -> Measured {
    let settings = DatabaseSettings {
        database_url: url.clone(),
        ..DatabaseSettings::default()
    };
    let DatabaseUrl::Sqlite(path) = url;
    let database = Database::new(path, &settings, &REQUIREMENTS);
    database.ready().await.unwrap();
    let end = CancellationToken::new();
    let longest = Arc::new(AtomicU64::new(0));
    let failed = Arc::new(AtomicU64::new(0));
    let writer = tokio::spawn({
        let (database, end, longest, failed) = (
            database.clone(),
            end.clone(),
            longest.clone(),
            failed.clone(),
        );
        async move {
            while !end.is_cancelled() {
                let start = Instant::now();
                if write(&database).await.is_err() {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
                let waited = u64::try_from(start.elapsed().as_micros()).unwrap();
                longest.fetch_max(waited, Ordering::Relaxed);
            }
        }
    });
    let start = Instant::now();
    work.await.unwrap();
    let took = start.elapsed();
    end.cancel();
    writer.await.unwrap();
    database.close().await;
    Measured {
        took,
        waited: Duration::from_micros(longest.load(Ordering::Relaxed)),
        failed: failed.load(Ordering::Relaxed),
    }
}

async fn write(database: &Database) -> Result<(), Error> {
    database
        .write(Atomicity::SingleStatement, |connection| {
            Box::pin(async move {
                sqlx::query(
                    "insert into posts (body, create_time, update_time, revision, user_id)
                     values ('one more', 1, 1, 1, 1)",
                )
                .execute(connection)
                .await?;
                Ok(())
            })
        })
        .await
}
