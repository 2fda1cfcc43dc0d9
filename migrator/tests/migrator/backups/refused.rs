//! What cannot be backed up or restored is refused in one line, and nothing is changed.

use std::{fs, path::PathBuf};

use migrator::{
    Progress,
    backup::{Backup, Error, Restored},
};

use super::{damage, overwrite, record_of};
use crate::{PATIENCE, Place};

/// One line, with a remedy, and a code that is not the lock's.
#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: Result<T, Error>, reason: &str, says: &str) {
    let refusal = result.unwrap_err();
    let line = refusal.to_string();
    assert_eq!(refusal.reason(), reason, "{line}");
    // A foreign database is refused as by every other command.
    let code = if reason == "FOREIGN_DATABASE" { 7 } else { 9 };
    assert_eq!(refusal.exit_code(), code, "{line}");
    assert!(
        line.contains(says) && line.contains(';') && !line.contains('\n'),
        "{line}"
    );
}

/// A backup of ten rows, beside a database that has eleven by now.
async fn place_with_backup() -> (Place, PathBuf) {
    let place = Place::with_rows(10).await;
    let Backup { path, .. } = place.back_up().await.unwrap();
    place.add_rows(1).await;
    (place, path)
}

async fn assert_untouched(
    place: &Place,
    restored: Result<Restored, Error>,
    reason: &str,
    says: &str,
) {
    assert_refused(restored, reason, says);
    assert_eq!(place.counts().await, "11 11");
    assert_eq!(
        place.backups().list().unwrap().backups.len(),
        1,
        "a rescue was left"
    );
}

#[tokio::test]
async fn a_damaged_database_is_not_backed_up() {
    let place = Place::with_rows(2_000).await;
    damage(&place.path(), 3);

    let result = place.back_up().await;

    assert_refused(result, "DATABASE_DAMAGED", "malformed");
    assert!(place.names().is_empty(), "{:?}", place.names());
}

#[tokio::test]
async fn what_is_no_database_of_ours_is_not_backed_up() {
    let place = Place::new();
    assert_refused(
        place.back_up().await,
        "DATABASE_NOT_FOUND",
        "there is no database",
    );

    place.execute("create table theirs (id integer)").await;
    assert_refused(place.back_up().await, "FOREIGN_DATABASE", "application id");

    fs::write(place.path(), "no database at all, ".repeat(100)).unwrap();
    assert_refused(
        place.back_up().await,
        "FOREIGN_DATABASE",
        "no SQLite database",
    );
    assert!(place.names().is_empty());
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_named() {
    let place = Place::with_rows(10).await;
    fs::write(place.0.path().join("backups"), "in the way").unwrap();

    assert_refused(
        place.back_up().await,
        "BACKUP_FOLDER",
        "backups cannot be used",
    );

    let file = place.0.path().join("missing/mine.db");
    let result = place
        .backups()
        .back_up(Some(&file), "on demand", PATIENCE, &Progress::noop())
        .await;
    assert_refused(result, "BACKUP_FOLDER", "missing cannot be used");
    assert_eq!(place.counts().await, "10 10");
}

#[tokio::test]
async fn a_backup_that_its_record_does_not_know_is_not_restored() {
    let (place, file) = place_with_backup().await;
    let whole = fs::read(&file).unwrap();

    overwrite(&file, 4096 + 100, &[0xA5; 16]);
    let result = place.restore(&file).await;
    assert_untouched(&place, result, "BACKUP_DAMAGED", "SHA-256").await;

    fs::write(&file, &whole[..whole.len() - 4096]).unwrap();
    let result = place.restore(&file).await;
    assert_untouched(&place, result, "BACKUP_DAMAGED", "by its record").await;

    fs::write(&file, &whole).unwrap();
    fs::write(record_of(&file), "{").unwrap();
    let result = place.restore(&file).await;
    assert_untouched(&place, result, "BACKUP_RECORD", "cannot be read").await;

    fs::remove_file(record_of(&file)).unwrap();
    place.restore(&file).await.unwrap();
    assert_eq!(place.counts().await, "10 10");
}

#[tokio::test]
async fn a_damaged_backup_without_a_record_is_not_restored() {
    let (place, file) = place_with_backup().await;
    fs::remove_file(record_of(&file)).unwrap();
    let whole = fs::read(&file).unwrap();

    damage(&file, 3);
    let result = place.restore(&file).await;
    assert_untouched(&place, result, "BACKUP_DAMAGED", "is damaged").await;

    fs::write(&file, &whole[..whole.len() - 4096]).unwrap();
    let result = place.restore(&file).await;
    assert_untouched(&place, result, "BACKUP_DAMAGED", "is damaged").await;

    fs::write(&file, "no database at all, ".repeat(100)).unwrap();
    let result = place.restore(&file).await;
    assert_untouched(&place, result, "NOT_A_BACKUP", "no SQLite database").await;
}

#[tokio::test]
async fn a_backup_in_which_a_row_refers_to_none_is_not_restored() {
    let (place, file) = place_with_backup().await;
    let other = Place::with_rows(10).await;
    let orphan = "pragma foreign_keys = off; delete from debits where id = 3";
    other.execute(orphan).await;
    fs::copy(other.path(), &file).unwrap();
    fs::remove_file(record_of(&file)).unwrap();

    let result = place.restore(&file).await;

    assert_untouched(
        &place,
        result,
        "BACKUP_DAMAGED",
        "a row of credits refers to one of debits",
    )
    .await;
}

#[tokio::test]
async fn what_is_no_backup_of_ours_is_not_restored() {
    let (place, file) = place_with_backup().await;
    let other = Place::new();
    other.execute("create table theirs (id integer)").await;

    let missing = place.restore(&place.0.path().join("missing.db")).await;
    let theirs = place.restore(&other.path()).await;
    let folder = place.restore(place.backups().folder()).await;
    let itself = place.restore(&place.path()).await;
    let into_theirs = other.restore(&file).await;

    assert_untouched(&place, missing, "BACKUP_MISSING", "there is no file").await;
    assert_untouched(&place, theirs, "NOT_A_BACKUP", "application id").await;
    assert_untouched(&place, folder, "NOT_A_BACKUP", "no file").await;
    assert_untouched(&place, itself, "BACKUP_IS_DATABASE", "the database itself").await;
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
async fn a_backup_of_a_version_that_is_not_known_is_not_restored() {
    let (place, file) = place_with_backup().await;
    let backups = place.backups();
    let noop = Progress::noop();

    let newer = backups.restore(&file, &[1], PATIENCE, &noop).await;
    let unknown = backups.restore(&file, &[1, 3], PATIENCE, &noop).await;

    assert_untouched(
        &place,
        newer,
        "BACKUP_NEWER",
        "is at version 2, and this migrator knows 1",
    )
    .await;
    assert_untouched(&place, unknown, "BACKUP_VERSION", "is at version 2, which").await;
}

#[tokio::test]
async fn a_backup_with_pages_of_another_size_is_not_restored() {
    let (place, file) = place_with_backup().await;
    fs::remove_file(&file).unwrap();
    fs::remove_file(record_of(&file)).unwrap();
    let script = format!("pragma page_size = 8192; vacuum into '{}'", file.display());
    let other = Place::with_rows(10).await;
    other.execute(&script).await;

    let result = place.restore(&file).await;

    assert_untouched(
        &place,
        result,
        "PAGE_SIZE",
        "8192 bytes and the database pages of 4096",
    )
    .await;
}
