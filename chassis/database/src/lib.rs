//! The database as one service sees it.
//!
//! Errors, access policy, requirements, readiness and settings are the same for every engine. Each
//! engine has a module of its own. Tables come in as arguments.

mod access_policy;
mod error;
pub mod idempotency;
mod lifecycle;
mod needs;
mod readiness;
pub mod settings;
pub mod sqlite;
mod write;

pub use self::{
    access_policy::Access,
    error::Error,
    lifecycle::Lifecycle,
    needs::Needs,
    write::{Scope, Stop},
};
