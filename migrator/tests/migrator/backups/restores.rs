//! A restore replaces the content in one transaction, and backs up the previous content.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use database::sqlite::OnlineBackup;
use migrator::{
    DatabaseError, Progress, ProgressEvent,
    backup::{BackupState, Error},
};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

use super::{COUNTS, KNOWN, Writer, damage, overwrite, query_in};
use crate::{LOCK_TIMEOUT, TestDir, execute, query_texts};

#[tokio::test]
async fn a_restore_and_its_pre_restore_backup_bring_back_each_state() {
    let dir = TestDir::with_rows(10).await;
    let backup = dir.back_up().await.unwrap();
    dir.ledger()
        .run(migrator::Run {
            no_backup: true,
            allow_data_loss: true,
            ..migrator::Run::downgrade_to(1)
        })
        .await
        .unwrap();
    dir.add_rows(5_000).await;

    let restored = dir.restore(&backup.path).await.unwrap();

    assert!(restored.compared);
    assert_eq!(restored.version, 2);
    assert_eq!(dir.counts().await, "10 10");
    assert_eq!(dir.ledger().status().await.unwrap().version, 2);
    assert_eq!(dir.query("pragma journal_mode").await, ["wal"]);
    let pre_restore = restored.pre_restore.unwrap();
    assert_eq!(pre_restore.manifest.why, "before restore");
    assert_eq!(pre_restore.manifest.version, 1);
    assert_eq!(query_in(&pre_restore.path, COUNTS).await, ["5010 5010"]);

    let restored = dir.restore(&pre_restore.path).await.unwrap();

    assert_eq!(restored.version, 1);
    assert_eq!(dir.counts().await, "5010 5010");
    assert_eq!(dir.query("pragma integrity_check").await, ["ok"]);
    assert_eq!(dir.names().len(), 6, "{:?}", dir.names());
}

#[tokio::test]
async fn an_unfinished_restore_changes_nothing() {
    let dir = TestDir::with_rows(5_000).await;
    let backup = dir.back_up().await.unwrap();
    dir.add_rows(1).await;
    let mut other = dir.connect().await;
    execute(&mut other, "pragma busy_timeout = 0").await;

    let mut copy = OnlineBackup::open(&dir.path(), &backup.path).unwrap();
    assert!(copy.lock().unwrap());

    // The lock is held before the first page and after it.
    for pages in [0, 100, u32::MAX] {
        copy.copy(pages).unwrap();
        let busy = sqlx::query("begin immediate").execute(&mut other).await;
        assert!(busy.unwrap_err().to_string().contains("locked"));
        assert_eq!(query_texts(&mut other, COUNTS).await, ["5001 5001"]);
    }
    assert!(copy.is_ready());
    drop(copy);
    assert_eq!(query_texts(&mut other, COUNTS).await, ["5001 5001"]);
    execute(&mut other, "begin immediate; rollback").await;

    let mut copy = OnlineBackup::open(&dir.path(), &backup.path).unwrap();
    assert!(copy.lock().unwrap());
    let copied = copy.finish().unwrap();
    assert!(copied.unchanged_since_commit().unwrap());
    assert_eq!(query_texts(&mut other, COUNTS).await, ["5000 5000"]);
    execute(&mut other, "insert into debits (note) values ('late')").await;
    assert!(!copied.unchanged_since_commit().unwrap());
    assert_eq!(
        query_texts(&mut other, "pragma journal_mode").await,
        ["wal"]
    );
    assert_eq!(
        query_texts(&mut other, "pragma integrity_check").await,
        ["ok"]
    );
}

#[tokio::test]
async fn a_restore_waits_for_the_lock_until_its_timeout() {
    let dir = TestDir::with_rows(10).await;
    let backup = dir.back_up().await.unwrap();
    let mut holder = dir.connect().await;
    execute(&mut holder, "begin immediate").await;

    let limit = Duration::from_millis(50);
    let backups = dir.backups();
    let locked = backups
        .restore(&backup.path, &KNOWN, limit, &Progress::noop())
        .await
        .unwrap_err();
    let mut restore = Box::pin(dir.restore(&backup.path));
    let early = tokio::time::timeout(Duration::from_millis(200), &mut restore).await;
    execute(&mut holder, "rollback").await;
    let restored = restore.await;

    assert!(
        matches!(locked, Error::Database(DatabaseError::Locked(l)) if l == limit),
        "{locked}"
    );
    assert!(early.is_err(), "it did not wait");
    assert!(restored.is_ok(), "{restored:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_and_writers_continue_during_a_restore() {
    let dir = TestDir::with_rows(20_000).await;
    let backup = dir.back_up().await.unwrap();
    let writer = Writer::start(&dir).await;
    let options = SqliteConnectOptions::new()
        .filename(dir.path())
        .read_only(true);
    let pool = SqlitePoolOptions::new()
        .max_connections(2)
        .connect_with(options)
        .await
        .unwrap();
    let stop = Arc::<AtomicBool>::default();
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (pool, stop) = (pool.clone(), stop.clone());
            tokio::spawn(async move {
                let mut reads = 0_u64;
                while !stop.load(Ordering::Acquire) {
                    // A partial restore would show different counts here.
                    let (debits, credits): (i64, i64) = sqlx::query_as(
                        "select (select count(id) from debits), (select count(id) from credits)",
                    )
                    .fetch_one(&pool)
                    .await
                    .unwrap();
                    assert_eq!(debits, credits);
                    reads += 1;
                }
                reads
            })
        })
        .collect();

    for _ in 0..3 {
        let restored = dir.restore(&backup.path).await.unwrap();
        println!("compared: {}", restored.compared);
        let rescued = restored.pre_restore.unwrap().manifest.rows["debits"];
        assert!(rescued > 20_000, "the writes are in the pre-restore backup");
        writer.goes_on().await;
    }
    stop.store(true, Ordering::Release);
    let mut reads = 0;
    for reader in readers {
        reads += reader.await.unwrap();
    }
    let waited = writer.end().await;

    println!("{reads} reads, and a writer waited for {waited:?} at the most");
    assert!(reads > 0);
    assert_eq!(dir.query("pragma integrity_check").await, ["ok"]);
    assert!(dir.query("pragma foreign_key_check").await.is_empty());
}

#[tokio::test]
async fn a_restore_creates_a_missing_database() {
    let dir = TestDir::with_rows(10).await;
    let backup = dir.back_up().await.unwrap();
    let other = TestDir::new();

    let restored = other.restore(&backup.path).await.unwrap();

    assert!(restored.pre_restore.is_none() && restored.compared);
    assert_eq!(other.counts().await, "10 10");
    assert_eq!(other.query("pragma journal_mode").await, ["wal"]);
    assert_eq!(other.ledger().status().await.unwrap().version, 2);
    let mode = fs::metadata(other.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(other.names().is_empty());
}

#[tokio::test]
async fn a_damaged_database_is_copied_and_then_replaced() {
    let dir = TestDir::with_rows(2_000).await;
    let backup = dir.back_up().await.unwrap();
    damage(&dir.path(), 3);

    let restored = dir.restore(&backup.path).await.unwrap();

    assert_eq!(dir.counts().await, "2000 2000");
    assert_eq!(dir.query("pragma integrity_check").await, ["ok"]);
    let pre_restore = restored.pre_restore.unwrap();
    assert_eq!(pre_restore.manifest.why, "before restore, damaged");
    assert!(!pre_restore.manifest.verified);
    assert_eq!(
        dir.backups().list().unwrap().backups[0].state,
        BackupState::Damaged
    );
    let refusal = dir.restore(&pre_restore.path).await.unwrap_err();
    assert!(matches!(refusal, Error::Corrupt { .. }), "{refusal}");
}

#[tokio::test]
async fn a_database_without_its_first_page_is_not_restored_into() {
    let dir = TestDir::with_rows(10).await;
    let backup = dir.back_up().await.unwrap();
    overwrite(&dir.path(), 0, &[0xA5; 4096]);

    let refusal = dir.restore(&backup.path).await.unwrap_err();
    fs::remove_file(dir.path()).unwrap();
    dir.restore(&backup.path).await.unwrap();

    assert_eq!(refusal.reason(), "DATABASE_DAMAGED");
    assert!(refusal.to_string().contains("move it away"), "{refusal}");
    assert_eq!(dir.counts().await, "10 10");
}

#[tokio::test]
async fn a_restore_reports_its_progress() {
    let dir = TestDir::with_rows(5_000).await;
    let backup = dir.back_up().await.unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let progress = Progress::new(move |event| tell.send(event).unwrap());

    let backups = dir.backups();
    backups
        .restore(&backup.path, &KNOWN, LOCK_TIMEOUT, &progress)
        .await
        .unwrap();

    drop(progress);
    let told: Vec<_> = told.iter().collect();
    for what in [
        "checking the backup",
        "copying the database",
        "restoring",
        "verifying the backup",
        "verifying the database",
    ] {
        let began = |event: &ProgressEvent| matches!(event, ProgressEvent::Started { what: w, .. } if *w == what);
        assert!(told.iter().any(began), "{what}: {told:?}");
        assert!(
            told.contains(&ProgressEvent::Finished { what }),
            "{what}: {told:?}"
        );
    }
    let pages: Vec<_> = told
        .iter()
        .filter_map(|event| match event {
            ProgressEvent::Advanced {
                what: "restoring",
                done,
            } => Some(*done),
            _ => None,
        })
        .collect();
    assert!(pages.len() > 1 && pages.is_sorted(), "{pages:?}");
}
