//! The microservice chassis: what every service needs and no service should write twice.
//!
//! Three crates stand below this one: [`process`] from the command line to the exit code,
//! [`database`] and [`serving`], which do not know each other. What needs both is here.
//!
//! It names no message, no table and no service; those come in as arguments.

pub mod failure;
pub mod idempotency;
pub mod program;
mod run;

pub use database;
pub use process;
pub use serving;

pub use self::run::{Parts, run};
