//! `docs/architecture.md`: the files that it names exist, and its walks are short.

use std::path::Path;

use crate::tree::{read, root};

const DOCUMENT: &str = "docs/architecture.md";

/// The walks through the files, by the headings of their sections.
const WALKS: [&str; 3] = [
    "CreateUser",
    "GetPost with its author",
    "A new post, to a watcher",
];

/// The texts between backticks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Whether a path is that of a source file.
fn is_source(path: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|extension| extension == "rs")
}

/// Whether a text is written as a path is. A placeholder such as `<engine>` is none.
fn is_path(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    (text.contains('/') || is_source(text)) && text.chars().all(plain)
}

/// Whether a file or a folder is there. A path inside a service leaves out its sources' folder.
fn exists(path: &str) -> bool {
    ["", "user-service/src/", "post-service/src/"]
        .iter()
        .any(|folder| root().join(folder).join(path).exists())
}

#[test]
fn every_path_in_the_architecture_exists() {
    let document = read(DOCUMENT);
    // The drawing of the layers has none.
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
fn each_call_is_followed_in_at_most_ten_steps_with_a_file_each() {
    let document = read(DOCUMENT);

    for walk in WALKS {
        let (_, section) = document.split_once(&format!("\n## {walk}\n")).unwrap();
        let section = section.split("\n## ").next().unwrap();
        let begins = |line: &&str| line.starts_with(|c: char| c.is_ascii_digit());
        let steps = section.lines().filter(begins).count();
        let files = code(section).filter(|text| is_path(text) && is_source(text));

        assert!((1..=10).contains(&steps), "{walk}: {steps} steps");
        assert!(files.count() >= steps - 1, "{walk}: steps without a file");
    }
}
