//! What every process of the system needs and no service should write twice: the
//! microservice chassis.
//!
//! It names no message, no table and no service; those come in as arguments. The
//! [`database`] module and those below it know that the engine is SQLite, [`serve`]
//! and those below it know gRPC, and nothing else knows either.

pub mod batch;
pub mod clock;
pub mod database;
pub mod etag;
pub mod idempotency;
pub mod pagination;
pub mod process;
pub mod serve;
pub mod settings;
pub mod status;
pub mod telemetry;
pub mod violation;
