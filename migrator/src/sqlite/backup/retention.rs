//! The backups of a directory by their names: their order, and pruning. Opens none of them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    error::Error,
    files::{is_same, is_taken, manifest_path, remove_abandoned, remove_regular, with_suffix},
    name::{PARTIAL_SUFFIX, SortKey, backup_of},
};

/// Returns the backups of one database in a directory, newest first. A missing directory has
/// none.
pub(super) fn backups(folder: &Path, stem: &str) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::Folder {
        folder: folder.to_owned(),
        source,
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        // The type is that of the entry itself: a link to a backup is not one.
        if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let name = entry.file_name();
        if let Some(age) = name
            .to_str()
            .and_then(|name| SortKey::from_name(name, stem))
        {
            found.push((age, entry.path()));
        }
    }
    found.sort_unstable();
    Ok(found.into_iter().rev().map(|(_, path)| path).collect())
}

/// Removes all but the newest `keep` backups. Removes only those of `removable`, and not the
/// protected one. Returns the removed ones. A failure is only logged, since the newest backup is
/// good even so.
pub(super) fn prune(
    folder: &Path,
    stem: &str,
    keep: usize,
    removable: &[PathBuf],
    protected: Option<&Path>,
) -> Vec<PathBuf> {
    let mut removed = Vec::new();
    let backups = match backups(folder, stem) {
        Ok(backups) => backups,
        Err(error) => {
            tracing::warn!(%error, "old backups were not pruned");
            return Vec::new();
        }
    };
    for backup in backups.into_iter().skip(keep) {
        if !removable.contains(&backup)
            || protected.is_some_and(|protected| is_same(protected, &backup))
        {
            continue;
        }
        if let Err(error) = remove_regular(&backup) {
            tracing::warn!(file = %backup.display(), %error, "old backup was not pruned");
            continue;
        }
        // A later run would remove the manifest too.
        let _ = remove_regular(&manifest_path(&backup));
        removed.push(backup);
    }
    removed
}

/// Removes partial backups of dead processes, and manifests without their backups.
pub(super) fn remove_leftovers(folder: &Path, stem: &str) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for name in entries.flatten().map(|entry| entry.file_name()) {
        let Some(name) = name.to_str() else { continue };
        let backup = backup_of(name);
        if backup == name || SortKey::from_name(backup, stem).is_none() {
            continue;
        }
        let backup = folder.join(backup);
        let partial = with_suffix(&backup, PARTIAL_SUFFIX);
        match remove_abandoned(&partial) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(error) => {
                tracing::warn!(file = %partial.display(), %error, "partial backup was not removed");
                continue;
            }
        }
        // The backup is looked at last: a publishing process renames the manifest first.
        let file = folder.join(name);
        if file != manifest_path(&backup) || !is_taken(&backup) {
            let _ = remove_regular(&file);
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::{super::files::PartialBackup, *};

    #[test]
    fn backups_of_one_millisecond_get_ordered_names() {
        let folder = tempfile::tempdir().unwrap();
        let reserve =
            || PartialBackup::in_folder(folder.path(), "a", DateTime::UNIX_EPOCH, 2).unwrap();

        let first = reserve().publish(b"{}").unwrap();
        let second = reserve();
        let third = reserve();
        let third = third.publish(b"{}").unwrap();
        let second = second.publish(b"{}").unwrap();

        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(name(&first), "a-19700101T000000.000Z-v0002.db");
        assert_eq!(name(&second), "a-19700101T000000.000Z-v0002-2.db");
        assert_eq!(backups(folder.path(), "a").unwrap(), [third, second, first]);
    }

    #[test]
    fn cleaning_up_spares_partial_backups_of_live_processes() {
        let folder = tempfile::tempdir().unwrap();
        let name = |n: u32| format!("a-19700101T000000.00{n}Z-v0001.db");
        let writing = PartialBackup::at(&folder.path().join(name(1))).unwrap();
        for left in [
            format!("{}.partial", name(2)),
            format!("{}.partial-journal", name(2)),
            format!("{}.json", name(2)),
            format!("{}.json.partial", name(3)),
            format!("{}.json", name(4)),
            format!("{}.partial-wal", name(5)),
        ] {
            fs::write(folder.path().join(left), "").unwrap();
        }
        fs::write(folder.path().join("notes.partial"), "").unwrap();

        remove_leftovers(folder.path(), "a");

        assert!(writing.path().exists());
        let mut names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(
            names,
            [format!("{}.partial", name(1)), "notes.partial".into()]
        );
    }
}
