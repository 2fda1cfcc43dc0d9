//! The database as one service sees it.
//!
//! What every engine has in common stands here: errors, access policy, requirements,
//! settings. Each engine has a module of its own. Tables come in as arguments.

mod access_policy;
mod error;
mod needs;
pub mod settings;
pub mod sqlite;
mod write;

pub use self::{
    access_policy::Access,
    error::Error,
    needs::Needs,
    write::{Scope, Stop},
};
