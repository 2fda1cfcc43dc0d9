//! Checks the compose file, the Dockerfile, the Kubernetes manifest and `docs/operations.md`
//! without a container engine: their security options, and their values against the settings of the
//! programs.
//!
//! `tests/containers/run` checks running containers.

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

/// User id of all containers.
const UID: i64 = 65532;

/// The services and their ports.
const SERVICES: [(&str, u64); 2] = [("user-service", 50051), ("post-service", 50052)];
