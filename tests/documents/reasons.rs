//! Checks `docs/errors.md`: it documents exactly the error reasons in the sources, with the status
//! code that the tests assert.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{File, files, read};

/// Files that produce failures.
const SOURCES: [&str; 4] = [
    "user-service/src/error",
    "post-service/src/error",
    "chassis/serving/src",
    "chassis/src/failure",
];

/// Files in `SOURCES` that produce no failures: status codes, settings and tests.
const OTHERS: [&str; 3] = [
    "chassis/serving/src/grpc_status",
    "chassis/serving/src/settings",
    "chassis/serving/src/tests",
];

/// Literals in capitals that are not reasons: an HTTP method, and a variable of cargo.
const OTHER_LITERALS: [&str; 2] = ["POST", "OUT_DIR"];

/// Names of the status codes in tests and in the document.
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
        && !OTHER_LITERALS.contains(&text)
}

/// Returns the string literals of a source, one line at a time, without those in comments.
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

/// Returns the entries of the document: each reason with the text below its heading.
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
fn exactly_the_reasons_in_the_sources_are_documented() {
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
fn documented_codes_match_the_asserted_codes() {
    let asserted = asserted();

    for (reason, entry) in entries() {
        let code = entry.trim_start().strip_prefix('`').unwrap();
        let (code, _) = code.split_once('`').unwrap();
        let codes = asserted.get(&reason);
        let codes = codes.unwrap_or_else(|| panic!("no test asserts {reason}"));
        assert_eq!(codes, &BTreeSet::from([code]), "{reason}");
    }
}

/// Returns the status codes that the tests assert for each reason. A field violation always has
/// `INVALID_ARGUMENT`.
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
fn exactly_the_metadata_keys_in_the_sources_are_documented() {
    let sources = sources();
    let in_sources: BTreeSet<_> = sources
        .iter()
        .flat_map(|file| {
            let calls = [" add(\"", "metadata.insert(\""];
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
            keys.filter(|key| key.contains('_') || in_sources.contains(*key))
                .map(str::to_owned),
        );
    }

    assert_eq!(explained, in_sources);
}

#[test]
fn every_documented_reason_has_cause_action_and_retry() {
    for (reason, entry) in entries() {
        for part in ["\n- **Cause**: ", "\n- **Do**: ", "\n- **Retry**: "] {
            assert!(entry.contains(part), "{reason}: no {part}");
        }
    }
}
