//! Connections: accepts them, limits what clients can do with them, and serves HTTP/2 and HTTP/1.1
//! over them on several runtimes.
//!
//! It must not know calls: it passes each request unread to [`grpc_web`](crate::grpc_web).

pub(crate) mod accept;
pub(crate) mod http;
mod http_io;
mod http_version;
mod socket;
mod stream_executor;
pub(crate) mod workers;
