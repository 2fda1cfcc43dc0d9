//! What every process of the system needs and no service should write twice: the
//! microservice chassis.
//!
//! It names no message, no table and no service; those come in as arguments. The engine is
//! known to the crate [`database`] alone, and gRPC to [`serve`], [`status`] and [`failure`].

pub mod batch;
pub mod etag;
pub mod failure;
pub mod idempotency;
pub mod pagination;
pub mod serve;
pub mod settings;
pub mod status;
pub mod violation;

pub use database;
pub use process;

/// What every program of the system allocates with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
