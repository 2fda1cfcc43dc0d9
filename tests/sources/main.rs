//! The invariants of the architecture that a change to the sources can break. Each test reads the
//! sources and fails with the places that break its invariant.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

mod clients;
mod crates;
mod database;
mod imports;
mod lex;
mod modules;
mod plans;
mod statements;
mod tree;
mod words;

/// Asserts that `found` is empty. The failure lists each violation.
#[track_caller]
fn assert_none(found: &[String], rule: &str) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}
