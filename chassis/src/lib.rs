//! What every process of the system needs and no service should write twice: the
//! microservice chassis.
//!
//! It names no message, no table and no service; those come in as arguments. Of the engine
//! only [`database`] knows, and those below it, but for the scheme of the URL in
//! [`settings`]; of gRPC only [`serve`], [`status`] and [`failure`].

pub mod batch;
pub mod burst;
pub mod clock;
pub mod database;
pub mod etag;
pub mod failure;
pub mod idempotency;
pub mod pagination;
pub mod process;
pub mod serve;
pub mod settings;
pub mod status;
pub mod telemetry;
pub mod violation;

/// What every program of the system allocates with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
