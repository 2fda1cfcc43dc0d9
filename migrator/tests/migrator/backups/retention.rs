//! Listing and pruning of backups.

use std::{
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use database::sqlite::OnlineBackup;
use migrator::{
    DatabaseError, Progress, ProgressEvent, Run,
    backup::{BackupState, Error},
};

use super::{COUNTS, KNOWN, manifest_path, query_in};
use crate::{LOCK_TIMEOUT, TestDir, execute};

#[tokio::test]
async fn the_newest_backups_and_named_files_are_kept() {
    let dir = TestDir::with_rows(10).await;
    let backups = dir.backups_keeping(NonZeroUsize::new(2).unwrap());
    let noop = Progress::noop();
    let mine = dir.backup_dir().join("mine.db");
    fs::create_dir(dir.backup_dir()).unwrap();

    backups
        .back_up(Some(&mine), "mine", LOCK_TIMEOUT, &noop)
        .await
        .unwrap();
    let mut made = Vec::new();
    for _ in 0..4 {
        made.push(
            backups
                .back_up(None, "on demand", LOCK_TIMEOUT, &noop)
                .await
                .unwrap(),
        );
    }

    assert!(mine.exists());
    let listed: Vec<_> = backups
        .list()
        .unwrap()
        .backups
        .into_iter()
        .map(|b| b.path)
        .collect();
    assert_eq!(listed, [made[3].path.clone(), made[2].path.clone()]);
    assert_eq!(made[2].pruned, [made[0].path.clone()]);
    assert_eq!(made[3].pruned, [made[1].path.clone()]);
    assert_eq!(dir.names().len(), 6, "{:?}", dir.names());
}

#[tokio::test]
async fn pruning_also_happens_after_a_failure() {
    let dir = TestDir::with_rows(10).await;
    for _ in 0..3 {
        dir.back_up().await.unwrap();
    }
    let folder = dir.backup_dir();
    fs::write(
        folder.join("microblog-20200101T000000.000Z-v0001.db.partial"),
        "",
    )
    .unwrap();
    let mut holder = dir.connect().await;
    execute(&mut holder, "begin immediate").await;

    let locked = dir
        .backups_keeping(NonZeroUsize::MIN)
        .back_up(
            None,
            "on demand",
            Duration::from_millis(50),
            &Progress::noop(),
        )
        .await
        .unwrap_err();

    assert!(
        matches!(locked, Error::Database(DatabaseError::Locked(_))),
        "{locked}"
    );
    assert_eq!((locked.exit_code(), locked.reason()), (75, "LOCKED"));
    assert_eq!(dir.names().len(), 2, "{:?}", dir.names());
}

#[tokio::test]
async fn listing_backups_reads_only_names_and_manifests() {
    let dir = TestDir::with_rows(10).await;
    let empty = dir.backups().list().unwrap();
    let [whole, bare, cut] = [
        dir.back_up().await.unwrap().path,
        dir.back_up().await.unwrap().path,
        dir.back_up().await.unwrap().path,
    ];
    fs::remove_file(manifest_path(&bare)).unwrap();
    fs::OpenOptions::new()
        .write(true)
        .open(&cut)
        .unwrap()
        .set_len(4096)
        .unwrap();

    let listing = dir.backups().list().unwrap();

    assert!(empty.to_string().starts_with("No backups in "));
    let states: Vec<_> = listing
        .backups
        .iter()
        .map(|b| (b.path.clone(), b.state))
        .collect();
    assert_eq!(
        states,
        [
            (cut, BackupState::SizeDiffers),
            (bare, BackupState::NoManifest),
            (whole, BackupState::Verified),
        ]
    );
    assert_eq!(listing.backups[2].version, Some(2));
    assert_eq!(listing.backups[2].why.as_deref(), Some("on demand"));
    let text = listing.to_string();
    for word in [
        "size differs",
        "no manifest",
        "verified",
        "on demand",
        "unknown",
    ] {
        assert!(text.contains(word), "{text}");
    }
    let json = serde_json::to_value(&listing).unwrap();
    assert_eq!(json["backups"][0]["state"], "size_differs");
}

/// Copies a backup to the name of another time.
fn copy_to_time(backup: &Path, time: &str) -> PathBuf {
    let name = format!("microblog-{time}-v0002.db");
    let copy = backup.with_file_name(name);
    fs::copy(backup, &copy).unwrap();
    fs::copy(manifest_path(backup), manifest_path(&copy)).unwrap();
    copy
}

/// The times of older backups: of a clock that is right now, was ahead, or ahead to its end.
const TIMES: [&str; 4] = [
    "20010101T000000.000Z",
    "20990101T000000.000Z",
    "99991231T235959.999Z",
    "99999999T999999.999Z",
];

#[tokio::test]
async fn backups_are_pruned_in_the_order_in_which_they_were_made() {
    for time in TIMES {
        for keep in 1..4 {
            let dir = TestDir::with_rows(10).await;
            let backups = dir.backups_keeping(NonZeroUsize::new(keep).unwrap());
            let first = dir.back_up().await.unwrap().path;
            let mut made = vec![first.clone(), copy_to_time(&first, time)];
            if time.starts_with("2001") {
                made.reverse();
            }

            for _ in 0..4 {
                let noop = Progress::noop();
                let backup = backups.back_up(None, "on demand", LOCK_TIMEOUT, &noop);
                made.push(backup.await.unwrap().path);

                let listed = backups.list().unwrap().backups;
                let listed: Vec<_> = listed.into_iter().map(|b| b.path).collect();
                let newest: Vec<_> = made.iter().rev().take(keep).cloned().collect();
                assert_eq!(listed, newest, "{time}, keeping {keep}");
            }
        }
    }
}

#[tokio::test]
async fn a_run_keeps_the_backup_that_it_relies_on() {
    for time in TIMES {
        let dir = TestDir::with_rows(10).await;
        let first = dir.back_up().await.unwrap().path;
        for number in 1..4 {
            copy_to_time(&first, &time.replace("000Z", &format!("00{number}Z")));
        }
        let one = NonZeroUsize::MIN;
        let migrator = dir.ledger().with_backups(&dir.backup_dir(), one);

        let run = migrator.run(Run {
            allow_data_loss: true,
            ..Run::downgrade_to(0)
        });
        let backup = run.await.unwrap().backup.unwrap();
        dir.backups_keeping(one)
            .restore(&backup.path, &KNOWN, LOCK_TIMEOUT, &Progress::noop())
            .await
            .unwrap();
        let counts = dir.counts().await;
        dir.execute("delete from credits").await;
        let restored = dir
            .backups_keeping(one)
            .restore(&backup.path, &KNOWN, LOCK_TIMEOUT, &Progress::noop())
            .await
            .unwrap();

        assert!(!backup.pruned.is_empty(), "{time}");
        assert_eq!(counts, "10 10", "{time}");
        let before = restored.pre_restore.unwrap().path;
        assert_eq!(query_in(&before, COUNTS).await, ["10 0"], "{time}");
    }
}

#[tokio::test]
async fn a_backup_with_a_given_old_name_outlives_its_run() {
    let dir = TestDir::with_rows(10).await;
    dir.back_up().await.unwrap();
    let name = "microblog-20010101T000000.000Z-v0002.db";
    let file = dir.backup_dir().join(name);

    let backups = dir.backups_keeping(NonZeroUsize::MIN);
    let noop = Progress::noop();
    let made = backups.back_up(Some(&file), "mine", LOCK_TIMEOUT, &noop);

    assert_eq!(made.await.unwrap().path, file);
    assert!(file.exists());
}

#[tokio::test]
async fn no_older_backup_is_removed_under_the_write_lock() {
    let dir = TestDir::with_rows(10).await;
    let old = dir.back_up().await.unwrap().path;
    let newer = dir.back_up().await.unwrap().path;
    let checked = Arc::<AtomicUsize>::default();
    let progress = || {
        let (database, old, checked) = (dir.path(), old.clone(), checked.clone());
        let newest = newer.clone();
        Progress::new(move |event| {
            let is_verified = matches!(
                event,
                ProgressEvent::Finished {
                    what: "verifying the backup"
                }
            );
            if is_verified {
                assert!(is_locked(&database, &newest), "the lock was released early");
                assert!(old.exists(), "a backup was removed under the lock");
                checked.fetch_add(1, Ordering::AcqRel);
            }
        })
    };

    let keep = NonZeroUsize::new(2).unwrap();
    let restored = dir
        .backups_keeping(keep)
        .restore(&newer, &KNOWN, LOCK_TIMEOUT, &progress())
        .await
        .unwrap();
    let after_restore = old.exists();
    fs::copy(&newer, &old).unwrap();
    let report = dir
        .ledger()
        .with_backups(&dir.backup_dir(), keep)
        .with_progress(progress())
        .run(Run::downgrade_to(1))
        .await
        .unwrap();

    assert_eq!(
        restored.pre_restore.unwrap().pruned,
        std::slice::from_ref(&old)
    );
    assert!(!after_restore);
    assert!(report.backup.unwrap().pruned.contains(&old));
    assert!(!old.exists());
    assert_eq!(checked.load(Ordering::Acquire), 2);
}

/// Reports whether another connection could not begin a write now.
fn is_locked(database: &Path, backup: &Path) -> bool {
    let mut other = OnlineBackup::open(database, backup).unwrap();
    !other.lock().unwrap()
}
