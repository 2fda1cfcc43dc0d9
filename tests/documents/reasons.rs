//! The reasons of failures: each that is in the sources is explained in `docs/errors.md`, by
//! the code that the tests assert, and no other is.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{File, files, read};

/// The files from which failures come.
const SOURCES: [&str; 4] = [
    "user-service/src/error",
    "post-service/src/error",
    "chassis/serving/src",
    "chassis/src/failure",
];

/// What is there of the codes themselves, of settings, and of tests.
const OTHERS: [&str; 3] = [
    "chassis/serving/src/grpc_status",
    "chassis/serving/src/settings",
    "chassis/serving/src/tests",
];

/// What else is written in capitals there: a method of HTTP, and a variable of cargo.
const NO_REASONS: [&str; 2] = ["POST", "OUT_DIR"];

/// The names of the codes in tests, and in the document.
const CODES: [(&str, &str); 12] = [
    ("Aborted", "ABORTED"),
    ("AlreadyExists", "ALREADY_EXISTS"),
    ("DeadlineExceeded", "DEADLINE_EXCEEDED"),
    ("FailedPrecondition", "FAILED_PRECONDITION"),
    ("Internal", "INTERNAL"),
    ("InvalidArgument", "INVALID_ARGUMENT"),
    ("NotFound", "NOT_FOUND"),
    ("PermissionDenied", "PERMISSION_DENIED"),
    ("ResourceExhausted", "RESOURCE_EXHAUSTED"),
    ("Unavailable", "UNAVAILABLE"),
    ("Unimplemented", "UNIMPLEMENTED"),
    ("Unknown", "UNKNOWN"),
];

fn is_reason(text: &str) -> bool {
    text.len() > 3
        && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
        && !NO_REASONS.contains(&text)
}

/// What is written between quotation marks on the lines of a text.
fn literals(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split('"').skip(1).step_by(2))
}

fn sources() -> Vec<File> {
    let mut sources = files(
        &[
            "user-service/src",
            "post-service/src",
            "chassis/src",
            "chassis/serving/src",
        ],
        ".rs",
    );
    sources.retain(|file| file.is_in(&SOURCES) && !file.is_in(&OTHERS));
    sources
}

/// The entries of the document: each reason with what stands below its heading.
fn entries() -> BTreeMap<String, String> {
    let document = read("docs/errors.md");
    let entries = document.split("\n### ").skip(1).map(|entry| {
        let (reason, text) = entry.split_once('\n').unwrap();
        let text = text.split("\n## ").next().unwrap();
        (reason.to_owned(), text.to_owned())
    });
    entries.collect()
}

#[test]
fn every_reason_is_explained_and_no_other() {
    let sources = sources();
    let in_sources: BTreeSet<_> = sources
        .iter()
        .flat_map(|file| literals(file.code()))
        .filter(|literal| is_reason(literal))
        .collect();

    let entries = entries();
    let explained: BTreeSet<_> = entries.keys().map(String::as_str).collect();

    assert_eq!(explained, in_sources);
}

#[test]
fn every_reason_is_explained_with_the_code_that_tests_assert() {
    let asserted = asserted();

    for (reason, entry) in entries() {
        let code = entry.trim_start().strip_prefix('`').unwrap();
        let (code, _) = code.split_once('`').unwrap();
        let codes = asserted.get(&reason);
        let codes = codes.unwrap_or_else(|| panic!("no test asserts {reason}"));
        assert_eq!(codes, &BTreeSet::from([code]), "{reason}");
    }
}

/// The code that goes with each reason in the tests: beside it, or that of every violation.
fn asserted() -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut asserted = BTreeMap::<_, BTreeSet<_>>::new();
    for file in files(&["tests", "chassis/serving/src/tests"], ".rs") {
        for (name, code) in CODES {
            for rest in file.text.split(&format!("Code::{name},")).skip(1) {
                if let Some(reason) = rest.trim_start().strip_prefix('"') {
                    let reason = reason.split('"').next().unwrap();
                    asserted.entry(reason.to_owned()).or_default().insert(code);
                }
            }
        }
        for statement in file.text.split("assert_violation").skip(1) {
            let statement = statement.split(';').next().unwrap();
            for reason in literals(statement).filter(|literal| is_reason(literal)) {
                let codes = asserted.entry(reason.to_owned()).or_default();
                codes.insert("INVALID_ARGUMENT");
            }
        }
    }
    asserted
}

#[test]
fn every_metadata_of_failures_is_explained_and_no_other() {
    let sources = sources();
    let told: BTreeSet<_> = sources
        .iter()
        .flat_map(|file| {
            let calls = ["tell(\"", "metadata.insert(\""];
            calls.map(|call| file.code().split(call).skip(1).collect::<Vec<_>>())
        })
        .flatten()
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect();

    let document = read("docs/errors.md");
    let mut explained = BTreeSet::new();
    for rest in document.split("metadata").skip(1) {
        let list = rest.split(".\n").next().unwrap();
        let keys = list.split('`').skip(1).step_by(2);
        explained.extend(
            keys.filter(|key| key.contains('_') || told.contains(*key))
                .map(str::to_owned),
        );
    }

    assert_eq!(explained, told);
}

#[test]
fn every_reason_says_what_caused_it_what_to_do_and_whether_to_try_again() {
    for (reason, entry) in entries() {
        for what in ["\n- **Cause**: ", "\n- **Do**: ", "\n- **Try again**: "] {
            assert!(entry.contains(what), "{reason}: no {what}");
        }
    }
}
