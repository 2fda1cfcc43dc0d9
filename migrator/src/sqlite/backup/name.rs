//! The names of backups, and their order. Knows no files.
//!
//! A name holds the time, the version, and from the second backup of a time on a number:
//! `microblog-20261124T110025.200Z-v0002-2.db`. A new name follows all names of the directory. The
//! order of names is therefore the order in which the backups were made, even if the clock was set
//! back or was ahead.

use chrono::{DateTime, Utc};

pub(super) const PARTIAL_SUFFIX: &str = ".partial";
pub(super) const MANIFEST_SUFFIX: &str = ".json";
const BACKUP_SUFFIX: &str = ".db";

/// The ends of the names of the files that SQLite writes beside a database.
pub(super) const SQLITE_SUFFIXES: [&str; 3] = ["-journal", "-wal", "-shm"];

/// The sort key of a backup: its time, and its number within that millisecond.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SortKey {
    time: String,
    number: u32,
}

impl SortKey {
    /// Returns the first key of a time.
    pub(super) fn at(time: DateTime<Utc>) -> Self {
        Self {
            time: time.format("%Y%m%dT%H%M%S%.3fZ").to_string(),
            number: 1,
        }
    }

    /// Parses the name of a backup. Returns `None` for any other name.
    pub(super) fn from_name(name: &str, stem: &str) -> Option<Self> {
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
        .then(|| Self {
            time: time.to_owned(),
            number,
        })
    }

    /// Returns the key that follows this one.
    pub(super) fn next(self) -> Self {
        Self {
            number: self.number.saturating_add(1),
            ..self
        }
    }

    /// Returns this key, or the one that follows `newest` if that is not older.
    pub(super) fn after(self, newest: Option<Self>) -> Self {
        match newest {
            Some(newest) if newest >= self => newest.next(),
            _ => self,
        }
    }

    /// Returns the name of a backup.
    pub(super) fn name(&self, stem: &str, version: i64) -> String {
        let Self { time, number } = self;
        let more = match number {
            1 => String::new(),
            number => format!("-{number}"),
        };
        format!("{stem}-{time}-v{version:04}{more}{BACKUP_SUFFIX}")
    }
}

/// Returns the name of the backup to which a file belongs: the backup, its manifest, or a file of
/// an unfinished one.
pub(super) fn backup_of(name: &str) -> &str {
    let sqlite = SQLITE_SUFFIXES
        .iter()
        .find_map(|end| name.strip_suffix(end));
    let partial = sqlite.filter(|name| name.ends_with(PARTIAL_SUFFIX));
    let name = partial.unwrap_or(name);
    let name = name.strip_suffix(PARTIAL_SUFFIX).unwrap_or(name);
    name.strip_suffix(MANIFEST_SUFFIX).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_new_name_follows_each_older_one() {
        let now = SortKey::at(DateTime::UNIX_EPOCH);
        for older in [
            "a-19691231T235959.999Z-v0001.db",
            "a-19700101T000000.000Z-v0003.db",
            "a-19700101T000000.000Z-v0003-9.db",
            "a-20991231T235959.999Z-v0003.db",
            "a-99999999T999999.999Z-v0003-10.db",
        ] {
            let older = SortKey::from_name(older, "a").unwrap();

            let name = now.clone().after(Some(older.clone())).name("a", 2);

            let parsed = SortKey::from_name(&name, "a").unwrap();
            assert!(parsed > older, "{name}");
        }
        assert_eq!(now.clone().after(None), now);
    }

    #[test]
    fn each_file_beside_a_backup_belongs_to_it() {
        for more in [
            "",
            ".json",
            ".partial",
            ".json.partial",
            ".partial-wal",
            ".partial-shm",
            ".partial-journal",
        ] {
            assert_eq!(backup_of(&format!("a.db{more}")), "a.db");
        }
        assert_eq!(backup_of("a.db-wal"), "a.db-wal");
    }
}
