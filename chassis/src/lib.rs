//! The microservice chassis: the code that every service needs.
//!
//! It combines three crates: [`process`] (command line to exit code), [`database`] and [`serving`].
//! The last two do not know each other, so code that needs both is here. The chassis must not name
//! a message, a table or a service: they are passed as arguments.

pub mod failure;
pub mod idempotency;
pub mod program;
mod run;

pub use database;
pub use process;
pub use serving;

pub use self::run::{Parts, run};
