//! Checks `docs/architecture.md`: the named files exist, and the walks through the code are short.

use std::path::Path;

use crate::tree::{read, root};

const DOCUMENT: &str = "docs/architecture.md";

/// Headings of the sections that walk through the files of a call.
const WALKS: [&str; 3] = [
    "CreateUser",
    "GetPost with its author",
    "A new post, to a watcher",
];

/// Returns the texts between backticks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Reports whether a path is that of a Rust source file.
fn is_source(path: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|extension| extension == "rs")
}

/// Reports whether a text looks like a path. A placeholder such as `<engine>` does not.
fn is_path(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    (text.contains('/') || is_source(text)) && text.chars().all(plain)
}

/// Reports whether a file or a directory exists. A path inside a service may omit `src` and the
/// parts before it.
fn exists(path: &str) -> bool {
    ["", "user-service/src/", "post-service/src/"]
        .iter()
        .any(|folder| root().join(folder).join(path).exists())
}

#[test]
fn every_path_in_the_architecture_exists() {
    let document = read(DOCUMENT);
    // The diagram of the layers contains no paths.
    let prose: Vec<_> = document.split("```").step_by(2).collect();

    let paths: Vec<_> = prose
        .iter()
        .flat_map(|text| code(text))
        .filter(|text| is_path(text))
        .collect();

    assert!(paths.len() > 40, "{paths:?}");
    for path in paths {
        assert!(exists(path), "{DOCUMENT} names {path}");
    }
}

#[test]
fn each_walk_has_at_most_ten_steps_with_a_file_each() {
    let document = read(DOCUMENT);

    for walk in WALKS {
        let (_, section) = document.split_once(&format!("\n## {walk}\n")).unwrap();
        let section = section.split("\n## ").next().unwrap();
        let is_step = |line: &&str| line.starts_with(|c: char| c.is_ascii_digit());
        let steps = section.lines().filter(is_step).count();
        let files = code(section).filter(|text| is_path(text) && is_source(text));

        assert!((1..=10).contains(&steps), "{walk}: {steps} steps");
        assert!(files.count() >= steps - 1, "{walk}: steps without a file");
    }
}
