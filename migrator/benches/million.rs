//! What the migrator costs on a database of a million posts, and how long a service that
//! writes has to wait meanwhile: one table, on standard output.
//!
//! ```console
//! $ cargo bench -p migrator
//! $ POSTS=200000 ROUNDS=5 cargo bench -p migrator
//! ```
//!
//! Each figure is the median of some rounds, and stands beside what a plain copy of the
//! file took in the same round, since machines are shared and disks differ.

#![expect(
    clippy::unwrap_used,
    reason = "a measurement that fails measures nothing"
)]

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

/// The script of such a change.
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

/// A column more, which SQLite adds in place.
const ADD: (&str, &str) = (
    "alter table posts add column place text not null default '' check (length(place) <= 60);",
    "alter table posts drop column place;",
);

/// A condition that changes, for which the table is made anew.
const REBUILD: (&str, &str) = (rebuild!("between 1 and 280"), rebuild!("between 1 and 140"));

/// What the service does that writes meanwhile.
static REQUIREMENTS: Requirements = Requirements {
    access: &AccessPolicy {
        owned_tables: &["posts"],
        readable_columns: &[("users", "id")],
    },
    min_schema_version: 2,
    statements: Vec::new,
};

/// What one piece of work took.
#[derive(Clone, Copy, Debug)]
struct Measured {
    took: Duration,
    /// The longest that a write waited meanwhile.
    waited: Duration,
    /// How many writes failed meanwhile.
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
        let copy = copied(&path, &folder.path().join("copy.db"));
        for (at, (name, measured)) in round(&url, &path).await.into_iter().enumerate() {
            if rows.len() == at {
                rows.push((name, Vec::new()));
            }
            let ratio = measured.took.as_secs_f64() / copy.as_secs_f64();
            rows[at].1.push((measured, ratio));
        }
        println!("a plain copy of the file: {} ms", copy.as_millis());
    }

    println!("\n| what | ms | times a plain copy | longest wait of a write, ms | failed writes |");
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

/// A migrator of the two tables and, if there is one, a change of them.
fn migrator(url: &DatabaseUrl, change: Option<(&str, &str)>) -> Migrator {
    let change = change.into_iter().flat_map(|(up, down)| {
        [
            ("post-service", "0003_change.up.sql", up),
            ("post-service", "0003_change.down.sql", down),
        ]
    });
    let migrations = Migrations::from_files(CREATED.into_iter().chain(change)).unwrap();
    Migrator::with_migrations(url, Duration::from_secs(60), migrations)
}

/// A thousand users, and posts of 70 characters.
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

/// How long a plain copy takes that is on the disk afterwards: what everything is compared
/// with.
fn copied(path: &Path, copy: &Path) -> Duration {
    let began = Instant::now();
    std::fs::copy(path, copy).unwrap();
    std::fs::File::open(copy).unwrap().sync_all().unwrap();
    let took = began.elapsed();
    std::fs::remove_file(copy).unwrap();
    took
}

/// Everything once. The database is as it was afterwards.
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
    rows.push(("backup", beside(url, plain.back_up(Some(&file))).await));
    rows.push(("add a column", beside(url, add.run(bare)).await));
    rows.push(("drop it again", beside(url, add.run(back)).await));
    rows.push((
        "add a column, with a backup",
        beside(url, add.run(Run::upgrade())).await,
    ));
    add.run(back).await.unwrap();
    rows.push(("rebuild the table", beside(url, rebuild.run(bare)).await));
    rebuild.run(back).await.unwrap();
    rows.push((
        "rebuild the table, with a backup",
        beside(url, rebuild.run(Run::upgrade())).await,
    ));
    rebuild.run(back).await.unwrap();
    rows.push(("restore", beside(url, plain.restore(&file)).await));
    std::fs::remove_file(file.with_extension("db.json")).unwrap();
    std::fs::remove_file(file).unwrap();
    rows
}

/// Does some work beside a service that writes one post after the other.
async fn beside<T, E: std::fmt::Debug>(
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
                let began = Instant::now();
                if write(&database).await.is_err() {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
                let waited = u64::try_from(began.elapsed().as_micros()).unwrap();
                longest.fetch_max(waited, Ordering::Relaxed);
            }
        }
    });
    let began = Instant::now();
    work.await.unwrap();
    let took = began.elapsed();
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
