//! Backups and restores of databases whose two tables are always written together.

mod consistency;
mod disk;
mod obstacles;
mod rejections;
mod restores;
mod retention;

use std::{
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use migrator::{
    Migrator, Progress,
    backup::{Backup, Backups, DEFAULT_KEEP, Error, RestoreReport},
};
use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::task::JoinHandle;

use crate::{LOCK_TIMEOUT, TestDir, execute, migrations, query_texts};

/// The numbers of the migrations of these databases.
const KNOWN: [i64; 2] = [1, 2];

/// Counts both tables. Each write adds a row to each of them, so the counts are equal.
const COUNTS: &str =
    "select (select count(*) from debits) || ' ' || (select count(*) from credits)";

impl TestDir {
    fn ledger(&self) -> Migrator {
        self.migrator_with(migrations(&[
            (
                "create table debits (id integer primary key, note text not null) strict;
                 create table credits (
                     id integer primary key references debits (id),
                     note text not null
                 ) strict;
                 create index credits_by_note on credits (note);",
                "drop table credits; drop table debits;",
            ),
            (
                "alter table debits add column more text;",
                "alter table debits drop column more;",
            ),
        ]))
    }

    /// Creates a database with this many rows in each table, at the newest version.
    async fn with_rows(rows: u32) -> Self {
        let dir = Self::new();
        dir.ledger().run(migrator::Run::upgrade()).await.unwrap();
        dir.add_rows(rows).await;
        dir
    }

    async fn add_rows(&self, rows: u32) {
        self.execute(&format!(
            "begin;
             insert into debits (note)
             with recursive n (i) as (values (1) union all select i + 1 from n where i < {rows})
             select hex(randomblob(200)) from n;
             insert into credits (id, note)
             select id, note from debits where id not in (select id from credits);
             commit;"
        ))
        .await;
    }

    fn backup_dir(&self) -> PathBuf {
        self.0.path().join("backups")
    }

    fn backups(&self) -> Backups {
        self.backups_keeping(DEFAULT_KEEP)
    }

    fn backups_keeping(&self, keep: NonZeroUsize) -> Backups {
        Backups::new(self.path(), None, keep)
    }

    async fn back_up(&self) -> Result<Backup, Error> {
        let backups = self.backups();
        backups
            .back_up(None, "on demand", LOCK_TIMEOUT, &Progress::noop())
            .await
    }

    async fn restore(&self, file: &Path) -> Result<RestoreReport, Error> {
        let backups = self.backups();
        backups
            .restore(file, &KNOWN, LOCK_TIMEOUT, &Progress::noop())
            .await
    }

    async fn counts(&self) -> String {
        self.query(COUNTS).await.remove(0)
    }

    /// Returns the file names in the backup directory.
    fn names(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.backup_dir()) else {
            return Vec::new();
        };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }
}

/// Runs a query in a backup.
async fn query_in(file: &Path, query: &str) -> Vec<String> {
    let options = SqliteConnectOptions::new().filename(file).read_only(true);
    let mut backup = options.connect().await.unwrap();
    let rows = query_texts(&mut backup, query).await;
    backup.close().await.unwrap();
    rows
}

/// A writer that repeatedly adds a row to each table, and waits for the lock as the services do.
struct Writer {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicI64>,
    task: JoinHandle<Duration>,
}

impl Writer {
    async fn start(dir: &TestDir) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(dir.path())
            .foreign_keys(true)
            .busy_timeout(Duration::ZERO);
        let connection = options.connect().await.unwrap();
        let (stop, written) = (Arc::<AtomicBool>::default(), Arc::<AtomicI64>::default());
        let task = tokio::spawn(Self::run(connection, stop.clone(), written.clone()));
        let writer = Self {
            stop,
            written,
            task,
        };
        writer.goes_on().await;
        writer
    }

    async fn run(
        mut connection: SqliteConnection,
        stop: Arc<AtomicBool>,
        written: Arc<AtomicI64>,
    ) -> Duration {
        let mut longest = Duration::ZERO;
        while !stop.load(Ordering::Acquire) {
            let waiting = Instant::now();
            loop {
                let begin = sqlx::query("begin immediate")
                    .execute(&mut connection)
                    .await;
                match begin {
                    Ok(_) => break,
                    Err(error) => assert!(error.to_string().contains("locked"), "{error}"),
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            longest = longest.max(waiting.elapsed());
            execute(
                &mut connection,
                "insert into debits (note) values ('more');
                 insert into credits (id, note) values (last_insert_rowid(), 'more');
                 commit",
            )
            .await;
            written.fetch_add(1, Ordering::AcqRel);
        }
        longest
    }

    /// Waits until the writer has committed again.
    async fn goes_on(&self) {
        let now = self.written.load(Ordering::Acquire);
        let more = async {
            while self.written.load(Ordering::Acquire) == now {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LOCK_TIMEOUT, more).await.unwrap();
    }

    fn written(&self) -> i64 {
        self.written.load(Ordering::Acquire)
    }

    /// Stops the writer, and returns its longest wait for the lock.
    async fn end(self) -> Duration {
        self.stop.store(true, Ordering::Release);
        self.task.await.unwrap()
    }
}

/// Overwrites bytes of a file from offset `at`.
fn overwrite(file: &Path, at: u64, bytes: &[u8]) {
    use std::os::unix::fs::FileExt;

    let file = fs::OpenOptions::new().write(true).open(file).unwrap();
    file.write_all_at(bytes, at).unwrap();
}

/// Makes pages of a file unreadable, from the second one.
fn damage(file: &Path, pages: u64) {
    let length = fs::metadata(file).unwrap().len();
    let from = pages * 4096;
    overwrite(
        file,
        from,
        &vec![0xA5; usize::try_from(length - from).unwrap()],
    );
}

fn manifest_path(backup: &Path) -> PathBuf {
    let mut name = backup.as_os_str().to_owned();
    name.push(".json");
    name.into()
}
