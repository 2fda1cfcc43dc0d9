//! The files of the repository.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A text file.
#[derive(Clone, Debug)]
pub struct File {
    /// From the root on, with `/`.
    pub path: String,
    /// What is in it.
    pub text: String,
}

impl File {
    /// The text without the unit tests, which stand at the end of a file.
    pub fn code(&self) -> &str {
        let tests = self.text.find("\n#[cfg(test)]\nmod tests {");
        &self.text[..tests.unwrap_or(self.text.len())]
    }

    /// Whether it is the file or in the folder that one of `places` names: `store` stands
    /// for `store.rs` and for all in `store/`.
    pub fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| {
            let rest = self.path.strip_prefix(place);
            rest.is_some_and(|rest| rest.is_empty() || rest == ".rs" || rest.starts_with('/'))
        })
    }
}

/// The root of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The text of one file.
pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files in `folders`, and in the folders below, whose names end with `suffix`, in the
/// order of their paths.
pub fn files(folders: &[&str], suffix: &str) -> Vec<File> {
    let mut found = Vec::new();
    for folder in folders {
        gather(&root().join(folder), suffix, &mut found);
    }
    assert!(!found.is_empty(), "no *{suffix} in {folders:?}");
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// The Rust sources of all crates, without those of integration tests.
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
    // Unit tests in files of their own.
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
