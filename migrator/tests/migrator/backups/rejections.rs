//! A database or file that cannot be backed up or restored is rejected in one line, and nothing
//! changes.

use std::{fs, path::PathBuf};

use migrator::{
    Progress,
    backup::{Backup, Error, RestoreReport},
};

use super::{damage, manifest_path, overwrite};
use crate::{LOCK_TIMEOUT, TestDir};

/// Asserts an error in one line, with a remedy and its exit code.
#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: Result<T, Error>, reason: &str, says: &str) {
    let refusal = result.unwrap_err();
    let line = refusal.to_string();
    assert_eq!(refusal.reason(), reason, "{line}");
    // Every command rejects a foreign database with this code.
    let code = if reason == "FOREIGN_DATABASE" { 7 } else { 9 };
    assert_eq!(refusal.exit_code(), code, "{line}");
    assert!(
        line.contains(says) && line.contains(';') && !line.contains('\n'),
        "{line}"
    );
}

/// Makes a backup of ten rows, beside a database that has eleven by now.
async fn dir_with_backup() -> (TestDir, PathBuf) {
    let dir = TestDir::with_rows(10).await;
    let Backup { path, .. } = dir.back_up().await.unwrap();
    dir.add_rows(1).await;
    (dir, path)
}

async fn assert_untouched(
    dir: &TestDir,
    restored: Result<RestoreReport, Error>,
    reason: &str,
    says: &str,
) {
    assert_refused(restored, reason, says);
    assert_eq!(dir.counts().await, "11 11");
    assert_eq!(
        dir.backups().list().unwrap().backups.len(),
        1,
        "a backup was left"
    );
}

#[tokio::test]
async fn a_damaged_database_is_not_backed_up() {
    let dir = TestDir::with_rows(2_000).await;
    damage(&dir.path(), 3);

    let result = dir.back_up().await;

    assert_refused(result, "DATABASE_DAMAGED", "malformed");
    assert!(dir.names().is_empty(), "{:?}", dir.names());
}

#[tokio::test]
async fn a_foreign_or_missing_database_is_not_backed_up() {
    let dir = TestDir::new();
    assert_refused(dir.back_up().await, "DATABASE_NOT_FOUND", "does not exist");
    let before_run = dir
        .backups()
        .copy_locked("upgrade", &Progress::noop())
        .await;
    assert_refused(before_run, "DATABASE_NOT_FOUND", "does not exist");

    dir.execute("create table theirs (id integer)").await;
    assert_refused(dir.back_up().await, "FOREIGN_DATABASE", "application id");

    fs::write(dir.path(), "no database at all, ".repeat(100)).unwrap();
    assert_refused(
        dir.back_up().await,
        "FOREIGN_DATABASE",
        "not an SQLite database",
    );
    assert!(dir.names().is_empty());
}

#[tokio::test]
async fn an_unusable_directory_is_named_in_the_error() {
    let dir = TestDir::with_rows(10).await;
    fs::write(dir.0.path().join("backups"), "in the way").unwrap();

    assert_refused(
        dir.back_up().await,
        "BACKUP_FOLDER",
        "backups cannot be used",
    );

    let file = dir.0.path().join("missing/mine.db");
    let result = dir
        .backups()
        .back_up(Some(&file), "on demand", LOCK_TIMEOUT, &Progress::noop())
        .await;
    assert_refused(result, "BACKUP_FOLDER", "missing cannot be used");
    assert_eq!(dir.counts().await, "10 10");
}

#[tokio::test]
async fn a_backup_that_differs_from_its_manifest_is_not_restored() {
    let (dir, file) = dir_with_backup().await;
    let whole = fs::read(&file).unwrap();

    overwrite(&file, 4096 + 100, &[0xA5; 16]);
    let result = dir.restore(&file).await;
    assert_untouched(&dir, result, "BACKUP_DAMAGED", "SHA-256").await;

    fs::write(&file, &whole[..whole.len() - 4096]).unwrap();
    let result = dir.restore(&file).await;
    assert_untouched(&dir, result, "BACKUP_DAMAGED", "by its manifest").await;

    fs::write(&file, &whole).unwrap();
    fs::write(manifest_path(&file), "{").unwrap();
    let result = dir.restore(&file).await;
    assert_untouched(&dir, result, "BACKUP_RECORD", "cannot be read").await;

    fs::remove_file(manifest_path(&file)).unwrap();
    dir.restore(&file).await.unwrap();
    assert_eq!(dir.counts().await, "10 10");
}

#[tokio::test]
async fn a_damaged_backup_without_a_manifest_is_not_restored() {
    let (dir, file) = dir_with_backup().await;
    fs::remove_file(manifest_path(&file)).unwrap();
    let whole = fs::read(&file).unwrap();

    damage(&file, 3);
    let result = dir.restore(&file).await;
    assert_untouched(&dir, result, "BACKUP_DAMAGED", "is damaged").await;

    fs::write(&file, &whole[..whole.len() - 4096]).unwrap();
    let result = dir.restore(&file).await;
    assert_untouched(&dir, result, "BACKUP_DAMAGED", "is damaged").await;

    fs::write(&file, "no database at all, ".repeat(100)).unwrap();
    let result = dir.restore(&file).await;
    assert_untouched(&dir, result, "NOT_A_BACKUP", "not an SQLite database").await;
}

#[tokio::test]
async fn a_backup_with_orphans_is_not_restored() {
    let (dir, file) = dir_with_backup().await;
    let other = TestDir::with_rows(10).await;
    let orphan = "pragma foreign_keys = off; delete from debits where id = 3";
    other.execute(orphan).await;
    fs::copy(other.path(), &file).unwrap();
    fs::remove_file(manifest_path(&file)).unwrap();

    let result = dir.restore(&file).await;

    assert_untouched(
        &dir,
        result,
        "BACKUP_DAMAGED",
        "a row of credits refers to a missing row of debits",
    )
    .await;
}

#[tokio::test]
async fn a_file_that_is_not_a_backup_is_not_restored() {
    let (dir, file) = dir_with_backup().await;
    let other = TestDir::new();
    other.execute("create table theirs (id integer)").await;

    let missing = dir.restore(&dir.0.path().join("missing.db")).await;
    let theirs = dir.restore(&other.path()).await;
    let folder = dir.restore(&dir.backup_dir()).await;
    let itself = dir.restore(&dir.path()).await;
    let into_theirs = other.restore(&file).await;

    assert_untouched(&dir, missing, "BACKUP_MISSING", "there is no file").await;
    assert_untouched(&dir, theirs, "NOT_A_BACKUP", "application id").await;
    assert_untouched(&dir, folder, "NOT_A_BACKUP", "not a file").await;
    assert_untouched(&dir, itself, "BACKUP_IS_DATABASE", "the database itself").await;
    assert_refused(
        into_theirs,
        "FOREIGN_DATABASE",
        "tables that no migrator made",
    );
    assert_eq!(
        other.query("select name from sqlite_schema").await,
        ["theirs"]
    );
    assert_eq!(other.query("pragma journal_mode").await, ["delete"]);
}

#[tokio::test]
async fn a_backup_of_an_unknown_version_is_not_restored() {
    let (dir, file) = dir_with_backup().await;
    let backups = dir.backups();
    let noop = Progress::noop();

    let newer = backups.restore(&file, &[1], LOCK_TIMEOUT, &noop).await;
    let unknown = backups.restore(&file, &[1, 3], LOCK_TIMEOUT, &noop).await;

    assert_untouched(
        &dir,
        newer,
        "BACKUP_NEWER",
        "is at version 2, and this migrator knows 1",
    )
    .await;
    assert_untouched(&dir, unknown, "BACKUP_VERSION", "is at version 2, which").await;
}

#[tokio::test]
async fn a_backup_with_another_page_size_is_not_restored() {
    let (dir, file) = dir_with_backup().await;
    fs::remove_file(&file).unwrap();
    fs::remove_file(manifest_path(&file)).unwrap();
    let script = format!("pragma page_size = 8192; vacuum into '{}'", file.display());
    let other = TestDir::with_rows(10).await;
    other.execute(&script).await;

    let result = dir.restore(&file).await;

    assert_untouched(
        &dir,
        result,
        "PAGE_SIZE",
        "8192 bytes and the database pages of 4096",
    )
    .await;
}
