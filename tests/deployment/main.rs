//! What the system is deployed with, as far as it can be checked without an engine: the
//! compose file, the Dockerfile, the Kubernetes manifest and the page for operators, each
//! row that makes the deployment safe by itself, and against the settings of the programs.
//!
//! `tests/containers/run` checks the same on containers that run.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

#[path = "../sources/tree.rs"]
#[expect(dead_code, reason = "the tests of the sources use the rest")]
mod tree;

mod compose;
mod dockerfile;
mod kubernetes;
mod operations;
mod rules;
mod scripts;
mod settings;

/// The user of every container.
const UID: i64 = 65532;

/// The services, each with its port.
const SERVICES: [(&str, u64); 2] = [("user-service", 50051), ("post-service", 50052)];
