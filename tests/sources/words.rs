//! Checks the wording of comments, string literals, test names and documents against a short list
//! of patterns that readers stumble over.
//!
//! SQL files are left out: an applied migration may not change.

use std::{fs, path::Path};

use crate::{
    assert_none,
    lex::{Text, lex},
    tree::{File, root},
};

/// First words that make a doc comment a clause without a subject. A doc comment opens with a
/// third-person verb ("Returns …") or with a noun phrase that holds the term.
const OPENINGS: [(&str, &str); 10] = [
    ("What", "say what the item returns or is: \"Returns …\""),
    ("How", "name the quantity or the algorithm"),
    ("Whether", "\"Reports whether …\""),
    ("Who", "name the actor: caller, client, watcher, process"),
    ("Whom", "name the actor: caller, client, watcher, process"),
    ("Whose", "name the owner"),
    ("Which", "name the thing: \"The index of …\""),
    ("That", "repeat the noun: hover text has no neighbour"),
    ("One", "repeat the noun: hover text has no neighbour"),
    ("The same", "repeat the noun: hover text has no neighbour"),
];

/// Phrases that are ambiguous or obsolete, each with its replacement.
const PHRASES: [(&str, &str); 4] = [
    ("at once", "\"immediately\" or \"in one statement\""),
    ("whoever", "name the actor: caller, client, process"),
    ("anew", "\"again\""),
    ("way back", "\"down migration\""),
];

/// Prefixes of test names that have no subject. A test name is `subject_verb_condition`.
const TEST_PREFIXES: [&str; 4] = ["what_", "who_", "those_", "of_"];

/// Files that contain the patterns because they are about them.
const EXEMPT: [&str; 2] = ["docs/glossary.md", "tests/sources/words.rs"];

/// Directories that contain no sources of the repository: build output, data and dependencies.
const SKIPPED: [&str; 5] = ["target", "data", "gen", "node_modules", "dist"];

/// Comment lines that follow each other, a literal, or a document.
type Passage = Vec<Text>;

/// Joins comments of one kind on consecutive lines, and removes their markers.
fn passages(comments: &[Text]) -> Vec<(&str, Passage)> {
    let mut passages: Vec<(&str, Passage)> = Vec::new();
    for Text { line, text } in comments {
        let marker = ["///", "//!", "//", "/*"]
            .into_iter()
            .find(|marker| text.starts_with(marker))
            .unwrap_or_default();
        let part = Text {
            line: *line,
            text: text[marker.len()..].to_owned(),
        };
        match passages.last_mut() {
            Some((kind, passage))
                if *kind == marker && passage.last().is_some_and(|last| last.line + 1 == *line) =>
            {
                passage.push(part);
            }
            _ => passages.push((marker, vec![part])),
        }
    }
    passages
}

/// Returns the words of a passage in lower case, each with its line number.
fn words(passage: &[Text]) -> Vec<(usize, String)> {
    let lines = passage.iter().flat_map(|Text { line, text }| {
        let lines = text.lines().enumerate();
        lines.map(move |(offset, text)| (line + offset, text))
    });
    let words = lines.flat_map(|(line, text)| {
        let words = text.split(|c: char| !(c.is_alphanumeric() || "_'’".contains(c)));
        let words = words.filter(|word| !word.is_empty());
        words.map(move |word| (line, word.to_lowercase()))
    });
    words.collect()
}

/// Reports each of `PHRASES` in a passage, also where it spans two lines.
fn banned_phrases(passage: &[Text]) -> Vec<(usize, String)> {
    let words = words(passage);
    let mut found = Vec::new();
    for (phrase, instead) in PHRASES {
        let phrase: Vec<_> = phrase.split(' ').collect();
        for window in words.windows(phrase.len()) {
            if window.iter().map(|(_, word)| word).eq(&phrase) {
                let phrase = phrase.join(" ");
                found.push((window[0].0, format!("`{phrase}`: {instead}")));
            }
        }
    }
    found
}

/// Reports a doc comment that starts with one of `OPENINGS`.
fn banned_opening(passage: &[Text]) -> Option<(usize, String)> {
    let first = passage.first()?;
    let (opening, instead) = OPENINGS.into_iter().find(|(opening, _)| {
        let rest = first.text.trim_start().strip_prefix(opening);
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-'))
    })?;
    Some((
        first.line,
        format!("doc comment opens with `{opening}`: {instead}"),
    ))
}

/// Reports test functions whose names start with one of `TEST_PREFIXES`.
fn banned_test_names(source: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut is_test = false;
    for (number, line) in source.lines().enumerate() {
        let line = line.trim_start();
        is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        let name = line
            .strip_prefix("fn ")
            .or_else(|| line.strip_prefix("async fn "));
        if let Some(name) = name {
            let prefix = TEST_PREFIXES
                .into_iter()
                .find(|prefix| name.starts_with(prefix));
            if let Some(prefix) = prefix.filter(|_| is_test) {
                let message = format!("test name starts with `{prefix}`: subject_verb_condition");
                found.push((number + 1, message));
            }
            is_test = false;
        }
    }
    found
}

/// Returns all violations in one file.
fn violations(file: &File) -> Vec<(usize, String)> {
    let text = &file.text;
    let mut found = Vec::new();
    if file.extension() == Some("rs") {
        let tokens = lex(text);
        for (marker, passage) in passages(&tokens.comments) {
            found.extend(banned_phrases(&passage));
            if matches!(marker, "///" | "//!") {
                found.extend(banned_opening(&passage));
            }
        }
        for literal in tokens.literals {
            found.extend(banned_phrases(&[literal]));
        }
        found.extend(banned_test_names(text));
    } else {
        let document = Text {
            line: 1,
            text: text.clone(),
        };
        found.extend(banned_phrases(&[document]));
    }
    found
}

/// Reports whether the wording of a file is checked: sources, scripts, documents and configuration.
fn is_checked(name: &str) -> bool {
    match name.rsplit_once('.') {
        Some((_, ending)) => matches!(
            ending,
            "rs" | "md" | "proto" | "sh" | "py" | "ts" | "go" | "mjs" | "html" | "toml" | "yml"
        ),
        None => matches!(name, "run" | "prepare" | "check" | "Dockerfile"),
    }
}

/// Reads the checked files below `folder`. Of the hidden directories, only `.ci` is read.
fn gather(folder: &Path, found: &mut Vec<File>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            let is_hidden = name.starts_with('.') && name != ".ci";
            if !is_hidden && !SKIPPED.contains(&name) {
                gather(&path, found);
            }
        } else if is_checked(name) {
            let relative = path.strip_prefix(root()).unwrap();
            found.push(File {
                path: relative.to_str().unwrap().to_owned(),
                text: fs::read_to_string(&path).unwrap(),
            });
        }
    }
}

#[test]
fn wording_follows_the_style() {
    let mut files = Vec::new();
    gather(&root(), &mut files);
    assert!(files.len() > 100, "only {} files were read", files.len());

    let mut found = Vec::new();
    for file in files {
        if !file.is_in(&EXEMPT) {
            let violations = violations(&file).into_iter();
            found.extend(violations.map(|(line, what)| format!("{}:{line}: {what}", file.path)));
        }
    }

    found.sort();
    assert_none(&found, "wording that readers stumble over");
}

#[test]
fn each_banned_pattern_is_found_at_its_line() {
    let file = |path: &str, text: &str| File {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    let rust = file(
        "a.rs",
        "//! How it works.\n\n/// Returns it at\n/// once.\nfn of_it() {}\n\n/// The same.\n\
         // Whoever.\n#[tokio::test]\nasync fn who_reads() { log(\"read anew\"); }\n",
    );
    let valid = file(
        "b.rs",
        "/// However it is.\n/// What it is.\nfn of_it() { at(once); }\n#[test]\nfn whole() {}\n",
    );
    let document = file("a.md", "What it does.\n\nThe way\nback.\n");

    let lines = |file: &File| {
        let mut lines: Vec<_> = violations(file).iter().map(|(line, _)| *line).collect();
        lines.sort_unstable();
        lines
    };

    assert_eq!(lines(&rust), [1, 3, 7, 8, 10, 10]);
    assert_eq!(lines(&valid), [0_usize; 0]);
    assert_eq!(lines(&document), [3]);
}
