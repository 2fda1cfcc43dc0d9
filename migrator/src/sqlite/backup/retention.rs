//! The backups of a directory by their names: their order, and pruning. Opens none of them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    error::Error,
    files::{
        BACKUP_SUFFIX, MANIFEST_SUFFIX, PARTIAL_SUFFIX, is_same, manifest_path, remove_abandoned,
        with_suffix,
    },
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

/// The sort key of a backup: its time, and its number within that millisecond.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SortKey(String, u32);

impl SortKey {
    /// Parses the name of a backup. Returns `None` for any other name.
    fn from_name(name: &str, stem: &str) -> Option<Self> {
        let rest = name.strip_prefix(stem)?.strip_prefix('-')?;
        let mut parts = rest.strip_suffix(BACKUP_SUFFIX)?.split('-');
        let (time, version) = (parts.next()?, parts.next()?);
        let number = parts.next().map_or(Some(1), |number| number.parse().ok())?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let shape: String = time
            .chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect();
        (parts.next().is_none()
            && shape == "00000000T000000.000Z"
            && version.strip_prefix('v').is_some_and(digits))
        .then(|| Self(time.to_owned(), number))
    }
}

/// Removes all but the newest `keep` backups and the protected one, and the leftovers of killed
/// processes. A failure is only logged, since the newest backup is good even so.
pub(super) fn prune(
    folder: &Path,
    stem: &str,
    keep: usize,
    protected: Option<&Path>,
) -> Vec<PathBuf> {
    remove_leftovers(folder, stem);
    let backups = match backups(folder, stem) {
        Ok(backups) => backups,
        Err(error) => {
            tracing::warn!(%error, "old backups were not pruned");
            return Vec::new();
        }
    };
    let mut removed = Vec::new();
    for backup in backups.into_iter().skip(keep) {
        if protected.is_some_and(|protected| is_same(protected, &backup)) {
            continue;
        }
        if let Err(error) = fs::remove_file(&backup) {
            tracing::warn!(file = %backup.display(), %error, "old backup was not pruned");
            continue;
        }
        // A later run would remove the manifest too.
        let _ = fs::remove_file(manifest_path(&backup));
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
        let whole = name.strip_suffix(PARTIAL_SUFFIX).unwrap_or(name);
        let backup = whole.strip_suffix(MANIFEST_SUFFIX).unwrap_or(whole);
        if backup == name || SortKey::from_name(backup, stem).is_none() {
            continue;
        }
        let backup = folder.join(backup);
        let partial = with_suffix(&backup, PARTIAL_SUFFIX);
        if partial.exists() {
            match remove_abandoned(&partial) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => {
                    tracing::warn!(file = %partial.display(), %error, "partial backup was not removed");
                    continue;
                }
            }
        }
        // The backup is looked at last: a publishing process renames the manifest first.
        let file = folder.join(name);
        if file != partial && (!backup.exists() || name.ends_with(PARTIAL_SUFFIX)) {
            let _ = fs::remove_file(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::{super::files::PartialBackup, *};

    #[test]
    fn only_backup_names_of_the_database_are_parsed() {
        for name in [
            "microblog-20261124T065018.123Z-v0002.db",
            "microblog-20261124T065018.123Z-v12345-2.db",
        ] {
            assert!(SortKey::from_name(name, "microblog").is_some(), "{name}");
        }
        for name in [
            "microblog.db",
            "microblog-mine.db",
            "microblog-20261124T065018.123Z-v0002.db.json",
            "microblog-20261124T065018.123Z-v0002.db.partial",
            "microblog-20261124T065018.123Z-v0002-b.db",
            "microblog-20261124T065018.123Z-v0002-2-3.db",
            "microblog-20261124T065018.123Z-v.db",
            "microblog-20261124T065018Z-v0002.db",
            "other-20261124T065018.123Z-v0002.db",
            "microblog-old-20261124T065018.123Z-v0002.db",
        ] {
            assert!(SortKey::from_name(name, "microblog").is_none(), "{name}");
        }
    }

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
    fn pruning_spares_partial_backups_of_live_processes() {
        let folder = tempfile::tempdir().unwrap();
        let name = |n: u32| format!("a-19700101T000000.00{n}Z-v0001.db");
        let writing = PartialBackup::at(&folder.path().join(name(1))).unwrap();
        for left in [
            format!("{}.partial", name(2)),
            format!("{}.partial-journal", name(2)),
            format!("{}.json", name(2)),
            format!("{}.json.partial", name(3)),
            format!("{}.json", name(4)),
        ] {
            fs::write(folder.path().join(left), "").unwrap();
        }
        fs::write(folder.path().join("notes.partial"), "").unwrap();

        let removed = prune(folder.path(), "a", 1, None);

        assert!(removed.is_empty());
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
