//! Reads the files of the repository.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A text file.
#[derive(Clone, Debug)]
pub struct File {
    /// Path from the root of the repository, with `/`.
    pub path: String,
    /// Content.
    pub text: String,
}

impl File {
    /// Returns the part of the file name after the last dot.
    pub fn extension(&self) -> Option<&str> {
        Path::new(&self.path).extension()?.to_str()
    }

    /// Returns the content without the unit tests at its end.
    pub fn code(&self) -> &str {
        let tests = self.text.find("\n#[cfg(test)]\nmod tests {");
        &self.text[..tests.unwrap_or(self.text.len())]
    }

    /// Reports whether one of `places` names this file or a directory that contains it. `store`
    /// names `store.rs` and each file in `store/`.
    pub fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| {
            let rest = self.path.strip_prefix(place);
            rest.is_some_and(|rest| rest.is_empty() || rest == ".rs" || rest.starts_with('/'))
        })
    }
}

/// Returns the root of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Reads one file.
pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns all files below `folders` whose names end with `suffix`, sorted by path.
pub fn files(folders: &[&str], suffix: &str) -> Vec<File> {
    let mut found = Vec::new();
    for folder in folders {
        gather(&root().join(folder), suffix, &mut found);
    }
    assert!(!found.is_empty(), "no *{suffix} in {folders:?}");
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// Returns the Rust sources of all crates without integration tests.
pub fn sources() -> Vec<File> {
    let mut sources = files(
        &[
            "src",
            "proto/src",
            "chassis/process/src",
            "chassis/database/src",
            "chassis/serving/src",
            "chassis/src",
            "user-service/src",
            "post-service/src",
            "migrator/src",
        ],
        ".rs",
    );
    // Unit tests in separate files.
    let tests = ["chassis/serving/src/tests"];
    sources.retain(|file| !file.is_in(&tests));
    sources
}

fn gather(folder: &Path, suffix: &str, found: &mut Vec<File>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(&path, suffix, found);
        } else if path.to_string_lossy().ends_with(suffix) {
            let name = path.strip_prefix(root()).unwrap();
            found.push(File {
                path: name.to_str().unwrap().to_owned(),
                text: fs::read_to_string(&path).unwrap(),
            });
        }
    }
}
