//! A backup is one snapshot, whatever other processes do.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use migrator::{Progress, ProgressEvent, backup::Error};
use sha2::{Digest, Sha256};
use sqlx::Connection;

use super::{COUNTS, Writer, query_in};
use crate::{LOCK_TIMEOUT, TestDir, execute, query_texts};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_beside_a_writer_is_one_snapshot() {
    let dir = TestDir::with_rows(2_000).await;
    let writer = Writer::start(&dir).await;

    for _ in 0..5 {
        let before = writer.written();
        let backup = dir.back_up().await.unwrap();
        // One row may be committed but not counted yet.
        let after = writer.written() + 1;

        let rows = &backup.manifest.rows;
        assert_eq!(rows["debits"], rows["credits"]);
        assert!(
            (2_000 + before..=2_000 + after).contains(&rows["debits"]),
            "{rows:?}"
        );
        let counts = format!("{} {}", rows["debits"], rows["credits"]);
        assert_eq!(query_in(&backup.path, COUNTS).await, [counts]);
        writer.goes_on().await;
    }
    let waited = writer.end().await;

    println!("a writer waited for {waited:?} at the most");
    assert_eq!(dir.query("pragma journal_mode").await, ["wal"]);
}

#[tokio::test]
async fn uncommitted_writes_of_the_lock_holder_are_not_in_the_backup() {
    let dir = TestDir::with_rows(10).await;
    let backups = dir.backups();
    let mut holder = dir.connect().await;
    execute(&mut holder, "begin immediate").await;
    execute(&mut holder, "insert into debits (note) values ('early')").await;

    let taken = backups
        .copy_locked("upgrade from 2 to 3", &Progress::noop())
        .await
        .unwrap();
    execute(
        &mut holder,
        "drop index credits_by_note; delete from credits; delete from debits; commit",
    )
    .await;
    let backup = taken.verify(&Progress::noop()).await.unwrap();

    assert_eq!(dir.counts().await, "0 0");
    assert_eq!(query_in(&backup.path, COUNTS).await, ["10 10"]);
    assert_eq!(backup.manifest.why, "upgrade from 2 to 3");
}

#[tokio::test]
async fn a_pending_log_and_a_reader_do_not_affect_a_backup() {
    let dir = TestDir::with_rows(10).await;
    let mut reader = dir.connect().await;
    execute(&mut reader, "begin").await;
    assert_eq!(query_texts(&mut reader, COUNTS).await, ["10 10"]);
    let mut writer = dir.connect().await;
    execute(
        &mut writer,
        "begin; delete from credits; delete from debits; commit",
    )
    .await;

    let backup = dir.back_up().await.unwrap();

    assert_eq!(query_in(&backup.path, COUNTS).await, ["0 0"]);
    assert_eq!(query_texts(&mut reader, COUNTS).await, ["10 10"]);
    writer.close().await.unwrap();
}

#[tokio::test]
async fn a_backup_is_private_and_has_a_manifest() {
    let dir = TestDir::with_rows(10).await;

    let backup = dir.back_up().await.unwrap();

    let record = super::manifest_path(&backup.path);
    assert_eq!(mode(backup.path.parent().unwrap()), 0o700);
    assert_eq!([mode(&backup.path), mode(&record)], [0o600, 0o600]);
    let name = backup.path.file_name().unwrap().to_str().unwrap();
    assert_eq!(dir.names(), [name.to_owned(), format!("{name}.json")]);
    let file = fs::read(&backup.path).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    let digits = json["sha256"].as_str().unwrap().as_bytes().chunks(2);
    let sha256 = digits.map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap());
    assert_eq!(sha256.collect::<Vec<_>>(), Sha256::digest(&file).to_vec());
    assert_eq!(json["bytes"], file.len());
    assert_eq!(json["why"], "on demand");
    assert_eq!(json["version"], 2);
    assert_eq!(json["verified"], true);
    assert_eq!(json["database"], dir.path().to_str().unwrap());
    assert_eq!(
        json["rows"],
        serde_json::json!({"_migrator_tokens": 2, "_sqlx_migrations": 2, "credits": 10, "debits": 10})
    );
    let when = json["when"].as_str().unwrap();
    let compact: String = when.chars().filter(|c| !"-:".contains(*c)).collect();
    assert_eq!(name, format!("microblog-{compact}-v0002.db"));
}

#[tokio::test]
async fn a_named_file_gets_the_backup_and_is_never_overwritten() {
    let dir = TestDir::with_rows(10).await;
    let file = dir.0.path().join("mine.sqlite");
    let backups = dir.backups();
    let noop = Progress::noop();
    let make = || backups.back_up(Some(&file), "on demand", LOCK_TIMEOUT, &noop);

    let backup = make().await.unwrap();
    let refusal = make().await.unwrap_err();

    assert_eq!(backup.path, file);
    assert_eq!(query_in(&file, COUNTS).await, ["10 10"]);
    assert!(matches!(refusal, Error::Exists { .. }), "{refusal}");
    assert!(dir.names().is_empty());
}

#[tokio::test]
async fn a_backup_reports_its_progress() {
    let dir = TestDir::with_rows(10).await;
    let (tell, told) = std::sync::mpsc::channel();
    let progress = Progress::new(move |event| tell.send(event).unwrap());

    let backup = dir
        .backups()
        .back_up(None, "on demand", LOCK_TIMEOUT, &progress)
        .await
        .unwrap();

    drop(progress);
    let told: Vec<_> = told.iter().collect();
    let what = "copying the database";
    let total = backup.manifest.bytes;
    assert_eq!(told.first(), Some(&ProgressEvent::Started { what, total }));
    assert!(told.contains(&ProgressEvent::Finished { what }));
    assert_eq!(
        told.last(),
        Some(&ProgressEvent::Finished {
            what: "verifying the backup"
        })
    );
}
