//! Listing and pruning of backups.

use std::{fs, num::NonZeroUsize, time::Duration};

use migrator::{
    DatabaseError, Progress,
    backup::{BackupState, Error},
};

use super::manifest_path;
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
