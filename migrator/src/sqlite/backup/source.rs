//! The file that a restore reads. It is checked before it is opened: opening a FIFO would wait for
//! another process, and opening a device may have an effect.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{Backups, error::Error, files, name::SQLITE_SUFFIXES};

/// Returns the path of the regular file at `file`. Follows a symbolic link only outside the
/// backup directory, into which other programs may write.
///
/// # Errors
///
/// [`Error`] if the file or a file beside it is not a regular one, or is the database.
pub(super) fn find(backups: &Backups, file: &Path) -> Result<PathBuf, Error> {
    let not_a_backup = |why: &str| Error::not_a_backup(file, backups.application, why);
    let missing = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => Error::Missing {
            file: file.to_owned(),
        },
        _ => Error::Inaccessible {
            file: file.to_owned(),
            source: source.into(),
        },
    };
    if passes_link_in(&backups.folder, file) {
        return Err(not_a_backup(
            "it is a symbolic link in the backup directory, where none is followed",
        ));
    }
    if !fs::metadata(file).map_err(missing)?.is_file() {
        return Err(not_a_backup("it is not a file"));
    }
    if files::is_same(file, &backups.database) {
        return Err(Error::IsDatabase {
            file: file.to_owned(),
        });
    }
    let found = if file.is_symlink() {
        // The files beside the target belong to the backup, not those beside the link.
        fs::canonicalize(file).map_err(missing)?
    } else {
        file.to_owned()
    };
    // SQLite would read them as the journal or the log of the backup.
    let mut beside = SQLITE_SUFFIXES
        .map(|end| files::with_suffix(&found, end))
        .into_iter();
    let is_other = |found: fs::Metadata| !found.is_file();
    match beside.find(|path| path.symlink_metadata().is_ok_and(is_other)) {
        Some(other) => Err(not_a_backup(&format!(
            "{} is not a regular file",
            other.display()
        ))),
        None => Ok(found),
    }
}

/// The number of links that are followed, as in the kernel.
const MAX_LINKS: usize = 40;

/// Reports whether a path, or the target of a link on it, passes a symbolic link in a directory.
fn passes_link_in(folder: &Path, path: &Path) -> bool {
    let Ok(folder) = fs::canonicalize(folder) else {
        return false;
    };
    let is_inside = |link: &Path| {
        let parent = link.parent().map(fs::canonicalize);
        parent.is_some_and(|parent| parent.is_ok_and(|parent| parent.starts_with(&folder)))
    };
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        // Without a path, no prefix is a link.
        let absolute = std::path::absolute(&path).unwrap_or_default();
        let mut prefixes: Vec<_> = absolute.ancestors().collect();
        prefixes.reverse();
        let Some(link) = prefixes.into_iter().find(|prefix| prefix.is_symlink()) else {
            return false;
        };
        if is_inside(link) {
            return true;
        }
        let (Ok(target), Ok(rest)) = (fs::read_link(link), absolute.strip_prefix(link)) else {
            return false;
        };
        path = files::parent_dir(link).join(target);
        if rest != Path::new("") {
            path.push(rest);
        }
    }
    false
}
