//! The invariants of the architecture that the sources themselves can break: each is held
//! by a test that reads them.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

mod circles;
mod clients;
mod crates;
mod database;
mod modules;
mod plans;
mod rust;
mod statements;
mod tree;

/// Asserts that nothing was found; else the test says all of it.
#[track_caller]
fn assert_none(found: &[String], rule: &str) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}
