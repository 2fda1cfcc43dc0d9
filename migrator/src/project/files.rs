//! Reads the files of a project. Only regular files are read: reading a FIFO would wait for
//! another process.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    TextFile,
    error::Error,
    paths::{ROOT, SCHEMA},
};

/// The directories that are not searched for owners, besides hidden ones: build output,
/// dependencies and migrations.
const SKIPPED: [&str; 3] = ["target", "node_modules", "migrations"];

/// Returns the directories that hold a `schema.sql`, in alphabetical order. Follows no symbolic
/// link to a directory, since links may form a loop.
///
/// # Errors
///
/// [`Error::NoOwner`] without such a directory, and [`Error::Unreadable`].
pub(super) fn find_owners(project: &Path) -> Result<Vec<String>, Error> {
    let mut owners = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(directory) = open.pop() {
        let path = project.join(&directory);
        let entries = match fs::read_dir(&path) {
            // Another process has removed the directory.
            Err(error) if error.kind() == io::ErrorKind::NotFound && directory != Path::new("") => {
                continue;
            }
            entries => entries.map_err(|source| unreadable(&path, source))?,
        };
        for entry in entries {
            let entry = entry.map_err(|source| unreadable(&path, source))?;
            let name = entry.file_name();
            if name == SCHEMA {
                owners.push(owner_name(&directory).map_err(|source| unreadable(&path, source))?);
            } else if entry.file_type().is_ok_and(|kind| kind.is_dir())
                && !name.as_encoded_bytes().starts_with(b".")
                && !SKIPPED.iter().any(|skipped| name == *skipped)
            {
                open.push(directory.join(name));
            }
        }
    }
    if owners.is_empty() {
        return Err(Error::NoOwner {
            project: project.to_owned(),
        });
    }
    owners.sort();
    Ok(owners)
}

/// Returns the name of the owner with this directory, relative to the project.
fn owner_name(directory: &Path) -> io::Result<String> {
    match directory.to_str() {
        Some("") => Ok(ROOT.to_owned()),
        Some(name) => Ok(name.to_owned()),
        None => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "its name is not valid Unicode",
        )),
    }
}

/// Reads a text file.
pub(super) fn text(path: &Path) -> Result<String, Error> {
    let read = || {
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        fs::read_to_string(path)
    };
    read().map_err(|source| unreadable(path, source))
}

/// Reads a text file that may be missing.
pub(super) fn optional_text(path: &Path) -> Result<Option<String>, Error> {
    // A dangling link exists, and cannot be read.
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        _ => text(path).map(Some),
    }
}

/// Reads the files of a directory whose names are accepted, ordered by name. A missing directory
/// has none.
pub(super) fn texts(
    directory: &Path,
    accepts: impl Fn(&str) -> bool,
) -> Result<Vec<TextFile>, Error> {
    let failed = |source| unreadable(directory, source);
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if accepts(&name) {
            files.push(TextFile {
                text: text(&entry.path())?,
                name,
            });
        }
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

fn unreadable(path: &Path, source: io::Error) -> Error {
    Error::Unreadable {
        path: path.to_owned(),
        source,
    }
}
