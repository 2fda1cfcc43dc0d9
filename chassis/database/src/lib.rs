//! The database of one service.
//!
//! Errors, access policy, requirements, readiness and settings are the same for every engine. Each
//! engine has its own module. The crate knows no table of a service; a service passes its tables as
//! arguments.

mod access_policy;
mod error;
pub mod idempotency;
mod lifecycle;
mod readiness;
mod requirements;
pub mod settings;
pub mod sqlite;
pub mod stored_responses;
mod write;

pub use self::{
    access_policy::AccessPolicy,
    error::Error,
    lifecycle::Lifecycle,
    requirements::Requirements,
    write::{Atomicity, WriteError},
};
